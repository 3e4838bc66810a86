#pragma once

#include <cstdint>
#include <vector>

#include "privacy/accountants/privacy_loss.h"

namespace gossamer {

// The loss of one step on the points i * width, i >= first, never better than it is: what lies between two
// points is divided between them so that the probabilities of both data sets are kept, by which
// delta(epsilon) becomes a straight line in exp(epsilon) between the points, above the convex curve that it
// is ("Connect the dots"). Of the loss's ends, each less probable than exp(log_tail), the lower goes to the
// lowest point and the upper to `infinite`.
struct LossGrid {
  std::int64_t first = 0;
  std::vector<double> masses;
  double infinite = 0;
};
LossGrid loss_grid(const PrivacyEvent& event, Direction direction, double width, double log_tail);

}  // namespace gossamer
