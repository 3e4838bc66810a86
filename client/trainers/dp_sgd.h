#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "client/trainers/clipped_gradients.h"
#include "client/trainers/clipped_lot.h"

namespace gossamer {

// The gradients of DP-SGD (Abadi et al., CCS 2016), a lot each, which comes in batches that fit into memory:
// (sum of clipped gradients + noise) / nominal lot size. The noise is added once a lot, however many batches
// make it up, and to an empty lot too. Not thread-safe.
class DpSgdStep {
 public:
  // `bounds` as in ClippedGradients::compute(). Requires noise_multiplier >= 0 and nominal_lot > 0. The
  // gradients outlive this.
  DpSgdStep(ClippedGradients& gradients, const std::vector<double>& bounds, double noise_multiplier,
            double nominal_lot);

  // A batch of the lot that is being collected.
  void add(const at::Tensor& features, const at::Tensor& labels);
  // Ends the lot. What it returns holds until the next lot ends.
  NoisyGradient& finish(NoiseSource& source);
  // What the lot was that ended last.
  const LotCounts& last() const noexcept { return last_; }

 private:
  ClippedGradients& gradients_;
  double noise_multiplier_, nominal_lot_;
  ClippedLot lot_;
  NoisyGradient gradient_;
  LotCounts last_;
};

}  // namespace gossamer
