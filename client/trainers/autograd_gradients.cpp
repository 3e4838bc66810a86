#include <torch/torch.h>

#include <algorithm>

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

  // Autograd reads weights in its own order, so they stay as they are until its end.
  float compute_through(const at::Tensor& features, const at::Tensor& labels, float share,
                        GradientFlow& flow) override {
    flow.before_use(0, model_.layout()->parameter_count());
    const float loss = compute(features, labels, share, false);
    give_whole(*this, model_, flow);
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

void give_whole(Gradients& gradients, Model& model, GradientFlow& flow) {
  for (std::size_t i = model.parameters().size(); i-- > 0;) {
    const TensorSpec& spec = model.layout()->tensors()[i];
    const std::span<const float> gradient = gradients.of(i);
    if (!gradient.empty()) {
      flow.copy_in(spec, gradient);
    } else {  // the loss does not depend on it
      flow.cut(spec, [](std::size_t, std::span<float> values) { std::ranges::fill(values, 0.0F); });
    }
  }
}

std::unique_ptr<Gradients> make_autograd_gradients(Model& model) {
  return std::make_unique<AutogradGradients>(model);
}

}  // namespace gossamer
