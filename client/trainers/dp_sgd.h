#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "client/optimizers/client_optimizer.h"
#include "client/trainers/clipped_gradients.h"
#include "core/buffers.h"
#include "core/model.h"

namespace gossamer {

// One step of DP-SGD (Abadi et al., CCS 2016) on one lot, which comes in batches that fit into memory:
// g = (sum of clipped gradients + noise) / nominal lot size, and the optimizer's step by g. The noise is
// added once a lot, however many batches make it up, and to an empty lot too; the size that divides is the
// nominal one, since the actual one is not private. Not thread-safe.
class DpSgdStep {
 public:
  // Adds the noise of one step to a sum in which no example has more than its bounds.
  using AddNoise = std::function<void(std::span<float> sum)>;

  struct Lot {
    std::int64_t examples = 0;
    std::int64_t not_finite = 0;  // of them: gradients that were not finite, and count as 0
    double loss = 0;              // mean over the others
  };

  // `bounds` as in ClippedGradients::compute(). Requires nominal_lot > 0. The model and the gradients outlive
  // this.
  DpSgdStep(Model& model, ClippedGradients& gradients, std::vector<double> bounds, double nominal_lot,
            AddNoise add_noise);

  // A batch of the lot that is being collected.
  void add(const at::Tensor& features, const at::Tensor& labels);
  // Ends the lot: noise, division, step. Returns what the lot was; that is not private.
  Lot finish(ClientOptimizer& optimizer);

 private:
  Model& model_;
  ClippedGradients& gradients_;
  std::vector<double> bounds_;
  double nominal_lot_;
  AddNoise add_noise_;
  FloatBuffer sum_;
  bool empty_ = true;  // nothing was added to the lot: sum_ holds anything
  Lot lot_;
};

}  // namespace gossamer
