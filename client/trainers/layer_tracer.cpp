#include "client/trainers/layer_tracer.h"

#include <torch/torch.h>

#include "client/trainers/stack_pass.h"

namespace gossamer {
namespace {

class StackTracer final : public LayerTracer {
 public:
  explicit StackTracer(Model& model) : pass_(model) {}

  Batch& trace(const at::Tensor& features, const at::Tensor& labels) override {
    const at::NoGradGuard no_grad;
    batch_.loss = pass_.forward(features, labels, static_cast<float>(features.size(0)));
    batch_.logits = pass_.dense().back().output;
    std::vector<StackPass::Convolution>& convolutions = pass_.convolutions();
    batch_.layers.clear();
    for (const StackPass::Convolution& layer : convolutions) {
      batch_.layers.push_back({.kind = LayerTrace::Kind::convolution,
                               .weight = layer.weight,
                               .bias = layer.bias,
                               .padding = layer.padding[0],
                               .input = layer.input});
    }
    for (const StackPass::Dense& layer : pass_.dense()) {
      batch_.layers.push_back({.kind = LayerTrace::Kind::dense,
                               .weight = layer.weight,
                               .bias = layer.bias,
                               .input = layer.input,
                               .delta = layer.delta});
    }
    const auto use_dense = [](std::size_t) {};
    const auto use_convolution = [&](std::size_t layer, const at::Tensor& delta) {
      batch_.layers[layer].delta = delta;
      return layer > 0 ? convolutions[layer].input_gradient(delta) : at::Tensor();
    };
    pass_.backward(use_dense, use_convolution);
    return batch_;
  }

 private:
  StackPass pass_;
  Batch batch_;
};

class AutogradTracer final : public LayerTracer {
 public:
  explicit AutogradTracer(Model& model) : model_(model) {}

  Batch& trace(const at::Tensor& features, const at::Tensor& labels) override {
    const at::AutoGradMode with_gradients(true);
    batch_.layers.clear();
    const at::Tensor logits = model_.forward_traced(features, batch_.layers);
    const at::Tensor loss = model_.loss(logits, labels);
    std::vector<at::Tensor> outputs;
    for (const LayerTrace& layer : batch_.layers) outputs.push_back(layer.output);
    // The mean over a batch of examples that have as many labels each is the mean of the examples' losses.
    const auto deltas = torch::autograd::grad({loss * features.size(0)}, outputs);
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      batch_.layers[i].delta = deltas[i];
      batch_.layers[i].output.reset();
    }
    batch_.logits = logits.detach();
    batch_.loss = loss.item<float>();
    return batch_;
  }

 private:
  Model& model_;
  Batch batch_;
};

}  // namespace

std::unique_ptr<LayerTracer> make_stack_tracer(Model& model) {
  if (!StackPass::fits(model)) return nullptr;
  return std::make_unique<StackTracer>(model);
}

std::unique_ptr<LayerTracer> make_autograd_tracer(Model& model) {
  if (!model.traces_layers()) return nullptr;
  return std::make_unique<AutogradTracer>(model);
}

}  // namespace gossamer
