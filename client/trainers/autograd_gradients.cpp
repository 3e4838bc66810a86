#include <torch/torch.h>

#include "client/trainers/gradients.h"

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
