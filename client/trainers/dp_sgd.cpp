#include "client/trainers/dp_sgd.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "client/trainers/vectors.h"

namespace gossamer {

DpSgdStep::DpSgdStep(Model& model, ClippedGradients& gradients, std::vector<double> bounds,
                     double nominal_lot, AddNoise add_noise)
    : model_(model),
      gradients_(gradients),
      bounds_(std::move(bounds)),
      nominal_lot_(nominal_lot),
      add_noise_(std::move(add_noise)) {
  if (!(nominal_lot > 0)) throw std::invalid_argument("the nominal size of a lot has to be positive");
  sum_.resize(model.layout()->parameter_count());
}

void DpSgdStep::add(const at::Tensor& features, const at::Tensor& labels) {
  const ClippedSum part = gradients_.compute(features, labels, bounds_, !empty_, sum_);
  empty_ = false;
  lot_.examples += features.size(0);
  lot_.not_finite += part.not_finite;
  lot_.loss += static_cast<double>(part.loss) * static_cast<double>(features.size(0) - part.not_finite);
}

DpSgdStep::Lot DpSgdStep::finish(ClientOptimizer& optimizer) {
  if (empty_) std::ranges::fill(sum_, 0.0F);
  add_noise_(sum_);
  scale(sum_, static_cast<float>(1 / nominal_lot_));
  optimizer.begin_step();
  optimizer.step(model_.values().first(sum_.size()), sum_, 0);
  Lot lot = std::exchange(lot_, {});
  if (lot.examples > lot.not_finite) lot.loss /= static_cast<double>(lot.examples - lot.not_finite);
  empty_ = true;
  return lot;
}

}  // namespace gossamer
