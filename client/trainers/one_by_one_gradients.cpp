// Clipped gradients by batches of one example each: for models that are a black box, such as TorchScript.
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "client/trainers/clipped_gradients.h"
#include "client/trainers/example_kernels.h"
#include "client/trainers/gradients.h"
#include "client/trainers/vectors.h"
#include "core/buffers.h"
#include "core/error.h"

namespace gossamer {
namespace {

class OneByOneGradients final : public ClippedGradients {
 public:
  explicit OneByOneGradients(Model& model) : ClippedGradients(model, 1), gradients_(make_gradients(model)) {}
  bool one_by_one() const noexcept override { return true; }

 private:
  ClippedSum compute_part(const at::Tensor& features, const at::Tensor& labels,
                          std::span<const double> bounds, bool add, std::span<float> sum,
                          std::span<double> norms) override {
    const std::span<float> buffers = model_.values().subspan(sum.size());
    buffers_.assign(buffers.begin(), buffers.end());
    const float loss = gradients_->compute(features, labels, 1, false);
    check(buffers);
    const std::vector<TensorSpec>& tensors = model_.layout()->tensors();
    std::ranges::fill(norms, 0.0);
    for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
      double square = 0;
      row_squares(gradients_->of(i), {&square, 1});
      norms[bound_of(tensors[i].offset, bounds.size())] += square;
    }
    factors_.resize(bounds.size());
    bad_.clear();
    make_factors(bounds, norms, factors_, bad_);
    if (!add) std::ranges::fill(sum, 0.0F);
    if (!bad_.empty()) return {0, 1};
    for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
      const std::span<const float> gradient =
          gradients_->of(i);  // empty where the loss does not depend on it
      add_scaled(sum.subspan(tensors[i].offset, gradient.size()),
                 factors_[bound_of(tensors[i].offset, bounds.size())], gradient);
    }
    return {loss, 0};
  }

  void check(std::span<float> buffers) const {
    if (buffers.empty() || std::memcmp(buffers.data(), buffers_.data(), buffers.size_bytes()) == 0) return;
    std::ranges::copy(buffers_, buffers.begin());
    throw RunError(
        "gradients of single examples: the model's buffers change with the examples that it trains on, and "
        "would let out what clipping is to bound; take a model without batch norm or other statistics");
  }

  std::unique_ptr<Gradients> gradients_;
  FloatBuffer buffers_;  // as they were before the example
  std::vector<float> factors_;
  std::vector<std::int64_t> bad_;
};

}  // namespace

std::unique_ptr<ClippedGradients> make_one_by_one_gradients(Model& model) {
  return std::make_unique<OneByOneGradients>(model);
}

}  // namespace gossamer
