#include "client/trainers/stack_pass.h"

#include <torch/torch.h>

#include <algorithm>

#include "client/models/layers.h"
#include "client/trainers/stack_kernels.h"

namespace gossamer {

std::span<float> floats(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

at::Tensor StackPass::Convolution::forward(const at::Tensor& x) {
  input = x;
  output = at::conv2d(x, weight, bias, 1, padding);
  height = output.size(2);
  width = output.size(3);
  if (pool) {
    output = max_pool2_relu_forward(output, &winners);
  } else if (relu) {
    output.relu_();
  }
  return output;
}

at::Tensor StackPass::Convolution::delta(const at::Tensor& gradient) const {
  if (pool) return max_pool2_relu_backward(gradient, winners, height, width);
  return relu ? at::threshold_backward(gradient, output, 0) : gradient;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> StackPass::Convolution::gradients(const at::Tensor& delta,
                                                                                 bool input_gradient) const {
  auto all = at::convolution_backward(delta, input, weight, bias.sizes(), {1, 1}, padding, {1, 1}, false,
                                      {0, 0}, 1, {input_gradient, true, true});
  std::get<1>(all) = std::get<1>(all).contiguous();
  return all;
}

at::Tensor StackPass::Convolution::input_gradient(const at::Tensor& delta) const {
  return std::get<0>(at::convolution_backward(delta, input, weight, bias.sizes(), {1, 1}, padding, {1, 1},
                                              false, {0, 0}, 1, {true, false, false}));
}

bool StackPass::fits(const Model& model) {
  const std::vector<StackLayer> layers = model.stack();
  return !layers.empty() && layers.back().weight.dim() == 2;
}

StackPass::StackPass(Model& model) : model_(model) {
  for (const StackLayer& layer : model.stack()) {
    const at::Tensor weight = layer.weight.detach(), bias = layer.bias.detach();
    if (weight.dim() == 4) {
      convolutions_.push_back({weight, bias, {layer.padding, layer.padding}, layer.relu, layer.pool});
    } else {
      dense_.push_back({weight, weight.t(), bias, layer.relu});
    }
  }
}

// The weights and the bias of a layer are about to be read.
void StackPass::announce(GradientFlow* flow, std::size_t layer) const {
  if (flow == nullptr) return;
  const auto& tensors = model_.layout()->tensors();
  flow->before_use(tensors[2 * layer].offset, tensors[2 * layer].size + tensors[2 * layer + 1].size);
}

float StackPass::forward(const at::Tensor& features, const at::Tensor& labels, float share,
                         GradientFlow* flow) {
  const std::int64_t batch = features.size(0);
  at::Tensor x = features;
  if (!convolutions_.empty()) {
    const at::IntArrayRef extents = features.sizes();  // an image without a channel axis has one channel
    const std::int64_t channels = convolutions_.front().weight.size(1);
    x = features.view({batch, channels, extents[extents.size() - 2], extents.back()});
    for (std::size_t i = 0; i < convolutions_.size(); ++i) {
      announce(flow, i);
      x = convolutions_[i].forward(x);
    }
    image_shape_ = x.sizes().vec();
  }
  if (batch != batch_) make_room(batch);
  dense_.front().input = x.view({batch, -1});
  for (std::size_t i = 0; i < dense_.size(); ++i) {
    Dense& layer = dense_[i];
    announce(flow, convolutions_.size() + i);
    at::mm_out(layer.output, layer.input, layer.weight_t);
    add_bias(floats(layer.output), floats(layer.bias), layer.relu);
  }
  Dense& last = dense_.back();
  const std::span<const std::int64_t> classes{labels.data_ptr<std::int64_t>(),
                                              static_cast<std::size_t>(labels.numel())};
  const auto count = static_cast<float>(batch);
  const double sum = softmax_cross_entropy(floats(last.output), classes, share / count, floats(last.delta));
  return static_cast<float>(sum / static_cast<double>(batch));
}

void StackPass::through_dense(std::size_t layer) {
  Dense& below = dense_[layer - 1];
  at::mm_out(below.delta, dense_[layer].delta, dense_[layer].weight);
  if (below.relu) mask_by_relu(floats(below.delta), floats(below.output));
}

void StackPass::make_room(std::int64_t batch) {
  for (std::size_t i = 0; i < dense_.size(); ++i) {
    Dense& layer = dense_[i];
    if (batch > capacity_) {
      layer.output_room = at::empty({batch, layer.weight.size(0)});
      layer.delta_room = at::empty({batch, layer.weight.size(0)});
    }
    layer.output = layer.output_room.narrow(0, 0, batch);
    layer.delta = layer.delta_room.narrow(0, 0, batch);
    layer.delta_t = layer.delta.t();
    if (i > 0) layer.input = dense_[i - 1].output;
  }
  batch_ = batch;
  capacity_ = std::max(capacity_, batch);
}

}  // namespace gossamer
