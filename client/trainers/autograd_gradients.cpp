#include <torch/torch.h>

#include <algorithm>

#include "client/trainers/gradients.h"
#include "client/trainers/vectors.h"

namespace gossamer {
namespace {

// Gradients are undefined before each backward pass, so that autograd hands its own tensors over instead of
// adding to ours: faster than accumulating into one flat gradient.
class AutogradGradients final : public Gradients {
 public:
  explicit AutogradGradients(Model& model) : model_(model) {}

  float compute(const at::Tensor& features, const at::Tensor& labels, float share, bool add) override {
    if (!add) {
      for (at::Tensor& parameter : model_.parameters()) parameter.mutable_grad().reset();
    }
    const at::Tensor loss = model_.loss(model_.forward(features), labels);
    (share == 1 ? loss : loss * share).backward();
    return loss.item<float>();
  }

  // Autograd reads weights in its own order, so the flow hears of the end alone.
  float compute_into(std::span<float> flat, const at::Tensor& features, const at::Tensor& labels, float share,
                     bool add, GradientFlow* flow) override {
    if (flow != nullptr) flow->before_use(0, flat.size());
    const float loss = compute(features, labels, share, false);
    for (std::size_t i = 0; i < model_.parameters().size(); ++i) {
      const TensorSpec& spec = model_.layout()->tensors()[i];
      const std::span<float> part = flat.subspan(spec.offset, spec.size);
      const std::span<const float> computed = of(i);
      if (!add && computed.empty()) std::ranges::fill(part, 0.0F);
      if (!add && !computed.empty()) std::ranges::copy(computed, part.begin());
      if (add && !computed.empty()) add_scaled(part, 1, computed);
    }
    if (flow != nullptr) flow->final_from(0);
    return loss;
  }

  std::span<float> of(std::size_t i) override {
    at::Tensor& gradient = model_.parameters()[i].mutable_grad();
    if (!gradient.defined()) return {};
    if (!gradient.is_contiguous()) gradient = gradient.contiguous();
    return {gradient.data_ptr<float>(), static_cast<std::size_t>(gradient.numel())};
  }

 private:
  Model& model_;
};

}  // namespace

std::unique_ptr<Gradients> make_autograd_gradients(Model& model) {
  return std::make_unique<AutogradGradients>(model);
}

}  // namespace gossamer
