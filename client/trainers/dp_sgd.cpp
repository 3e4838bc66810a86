#include "client/trainers/dp_sgd.h"

#include <stdexcept>

namespace gossamer {

DpSgdStep::DpSgdStep(ClippedGradients& gradients, const std::vector<double>& bounds, double noise_multiplier,
                     double nominal_lot)
    : gradients_(gradients),
      noise_multiplier_(noise_multiplier),
      nominal_lot_(nominal_lot),
      lot_(gradients.parameters(), bounds),
      gradient_(gradients.parameters()) {
  if (!(nominal_lot > 0)) throw std::invalid_argument("the nominal size of a lot has to be positive");
}

void DpSgdStep::add(const at::Tensor& features, const at::Tensor& labels) {
  gradients_.add_to(lot_, features, labels);
}

NoisyGradient& DpSgdStep::finish(NoiseSource& source) {
  last_ = lot_.counts();
  gradient_.take(lot_, noise_multiplier_, source, nominal_lot_);
  return gradient_;
}

}  // namespace gossamer
