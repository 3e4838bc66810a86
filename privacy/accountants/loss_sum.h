#pragma once

#include <span>
#include <vector>

#include "privacy/accountants/privacy_loss.h"

namespace gossamer {

// The sum of the losses of all steps of some events, by its cumulant K(order) = ln E exp(order * loss): where
// it lies, what it is tilted to, how improbable its ends are. Good to many digits, though no bound: it only
// says where to look.
class LossSum {
 public:
  LossSum(std::span<const PrivacyEvent> events, Direction direction);

  LossPoints::Moments cumulant(double order) const;
  // Under the distribution tilted to `order`, which is weighted with exp(order * loss): the loss that is
  // exceeded (sign 1), or fallen short of (sign -1), with a probability of at most exp(log_tail), by
  // Chernoff's bound, and the order of the tilt beyond `order` at which that bound is least.
  struct Bound {
    double loss, order;
  };
  Bound tail(double order, int sign, double log_tail) const;
  // The order whose tilt has this mean; the least of any use where the mean is higher without.
  double order_with_mean(double mean) const;

  double steps() const noexcept { return steps_; }
  double deviation() const noexcept {
    return deviation_;
  }  // standard, without a tilt; or a little more than none

 private:
  std::vector<LossPoints> points_;
  std::vector<double> counts_;
  double steps_ = 0;
  double deviation_ = 0;
};

}  // namespace gossamer
