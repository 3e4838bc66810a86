// Gradients of a plain stack of convolutions and dense layers without autograd: a step calls the same matrix
// products and convolutions, but none of the graph's bookkeeping, into memory that is kept. Under plain SGD a
// dense layer's weight gradient is never stored: the product that would compute it adds to the weights.
#include <torch/torch.h>

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "client/models/layers.h"
#include "client/trainers/gradients.h"
#include "client/trainers/stack_kernels.h"

namespace gossamer {
namespace {

std::span<float> floats(const at::Tensor& tensor) {
  return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

struct Convolution {
  at::Tensor weight, bias;
  std::vector<std::int64_t> padding;
  bool relu, pool;
  // Of the batch at hand: what came in, the ReLU's result or where the pool's results came from.
  at::Tensor input, output, winners;
  std::int64_t height = 0, width = 0;  // before the pool

  at::Tensor forward(const at::Tensor& x) {
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

  // The gradients of input (if asked for), weight and bias.
  std::tuple<at::Tensor, at::Tensor, at::Tensor> backward(at::Tensor delta, bool input_gradient) const {
    if (pool) {
      delta = max_pool2_relu_backward(delta, winners, height, width);
    } else if (relu) {
      delta = at::threshold_backward(delta, output, 0);
    }
    auto gradients = at::convolution_backward(delta, input, weight, bias.sizes(), {1, 1}, padding, {1, 1},
                                              false, {0, 0}, 1, {input_gradient, true, true});
    std::get<1>(gradients) = std::get<1>(gradients).contiguous();
    return gradients;
  }
};

struct Dense {
  at::Tensor weight, weight_t, bias;
  bool relu;
  // Room for the largest batch so far, and the parts of it for the batch at hand; `delta` is the gradient of
  // the loss with respect to weight * input + bias.
  at::Tensor output_room, delta_room;
  at::Tensor input, output, delta, delta_t;
};

class StackGradients final : public Gradients {
 public:
  StackGradients(Model& model, const std::vector<StackLayer>& layers) : model_(model) {
    for (const StackLayer& layer : layers) {
      const at::Tensor weight = layer.weight.detach(), bias = layer.bias.detach();
      if (weight.dim() == 4) {
        const std::vector<std::int64_t> padding{layer.padding, layer.padding};
        convolutions_.push_back({weight, bias, padding, layer.relu, layer.pool, {}, {}, {}});
      } else {
        dense_.push_back({weight, weight.t(), bias, layer.relu, {}, {}, {}, {}, {}, {}});
      }
    }
  }

  float compute(const at::Tensor& features, const at::Tensor& labels, float share, bool add) override {
    const at::NoGradGuard no_grad;
    if (gradients_.empty()) {
      for (const at::Tensor& parameter : model_.parameters()) gradients_.push_back(at::empty_like(parameter));
    }
    const float loss = forward(features, labels, share);
    const float keep = add ? 1 : 0;
    const auto use_dense = [&](std::size_t layer) {
      const Dense& dense = dense_[layer];
      const std::size_t i = 2 * (convolutions_.size() + layer);
      if (add) {
        gradients_[i].addmm_(dense.delta_t, dense.input);
      } else {
        at::mm_out(gradients_[i], dense.delta_t, dense.input);
      }
      add_rows(floats(dense.delta), keep, 1, floats(gradients_[i + 1]));
    };
    const auto use_convolution = [&](std::size_t layer, const at::Tensor& weight, const at::Tensor& bias) {
      combine(floats(gradients_[2 * layer]), keep, 1, floats(weight));
      combine(floats(gradients_[2 * layer + 1]), keep, 1, floats(bias));
    };
    backward(use_dense, use_convolution);
    return loss;
  }

  float compute_through(const at::Tensor& features, const at::Tensor& labels, float share,
                        GradientFlow& flow) override {
    const at::NoGradGuard no_grad;
    const float loss = forward(features, labels, share, &flow);
    const auto use_dense = [&](std::size_t layer) {
      const std::size_t i = 2 * (convolutions_.size() + layer);
      scratch_.resize(static_cast<std::size_t>(dense_[layer].weight.size(0)));
      add_rows(floats(dense_[layer].delta), 0, 1, scratch_);
      flow.copy_in(tensor(i + 1), scratch_);
      if (const std::span<float> factors = flow.factors(tensor(i)); !factors.empty()) {
        write_factors(dense_[layer], factors);
        flow.leave();
      } else {
        weight_gradient(dense_[layer], tensor(i), flow);
      }
    };
    const auto use_convolution = [&](std::size_t layer, const at::Tensor& weight, const at::Tensor& bias) {
      flow.copy_in(tensor(2 * layer + 1), floats(bias));
      flow.copy_in(tensor(2 * layer), floats(weight));
    };
    backward(use_dense, use_convolution);
    return loss;
  }

  std::span<float> of(std::size_t i) override { return floats(gradients_[i]); }

  std::optional<float> descend(const at::Tensor& features, const at::Tensor& labels,
                               PlainDescent step) override {
    const at::NoGradGuard no_grad;
    const float loss = forward(features, labels, 1);
    const auto use_dense = [&](std::size_t layer) {
      Dense& dense = dense_[layer];
      dense.weight.addmm_(dense.delta_t, dense.input, step.keep, -step.rate);
      add_rows(floats(dense.delta), step.keep, -step.rate, floats(dense.bias));
    };
    const auto use_convolution = [&](std::size_t layer, const at::Tensor& weight, const at::Tensor& bias) {
      combine(floats(convolutions_[layer].weight), step.keep, -step.rate, floats(weight));
      combine(floats(convolutions_[layer].bias), step.keep, -step.rate, floats(bias));
    };
    backward(use_dense, use_convolution);
    return loss;
  }

 private:
  const TensorSpec& tensor(std::size_t i) const { return model_.layout()->tensors()[i]; }

  static void write_factors(const Dense& dense, std::span<float> factors) {
    const auto rows = static_cast<std::size_t>(dense.weight.size(0));
    const auto columns = static_cast<std::size_t>(dense.weight.size(1));
    const std::span<const float> delta = floats(dense.delta), input = floats(dense.input);
    auto to = factors.begin();
    for (std::size_t example = 0; example * rows < delta.size(); ++example) {
      to = std::ranges::copy(delta.subspan(example * rows, rows), to).out;
      to = std::ranges::copy(input.subspan(example * columns, columns), to).out;
    }
  }

  // Row block by row block, each while it is in the cache where it is read next.
  void weight_gradient(const Dense& dense, const TensorSpec& weight, GradientFlow& flow) {
    const std::int64_t columns = dense.weight.size(1);
    const auto product = [&](std::span<float> into, std::int64_t row) {
      const std::int64_t rows = static_cast<std::int64_t>(into.size()) / columns;
      at::Tensor block = at::from_blob(into.data(), {rows, columns}, at::kFloat);
      at::mm_out(block, dense.delta_t.narrow(0, row, rows), dense.input);
    };
    if (flow.step_of(weight) % static_cast<std::size_t>(columns) != 0) {  // a row is longer than a part
      scratch_.resize(weight.size);
      product(scratch_, 0);
      flow.copy_in(weight, scratch_);
      return;
    }
    flow.cut(weight, [&](std::size_t begin, std::span<float> values) {
      product(values, static_cast<std::int64_t>(begin) / columns);
    });
  }

  // The weights and the bias of a layer are about to be read.
  void announce(GradientFlow* flow, std::size_t layer) const {
    if (flow == nullptr) return;
    const auto& tensors = model_.layout()->tensors();
    flow->before_use(tensors[2 * layer].offset, tensors[2 * layer].size + tensors[2 * layer + 1].size);
  }

  // Leaves the gradient of share * loss with respect to the logits in the last layer's delta.
  float forward(const at::Tensor& features, const at::Tensor& labels, float share,
                GradientFlow* flow = nullptr) {
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

  template <class UseDense, class UseConvolution>
  void backward(const UseDense& use_dense, const UseConvolution& use_convolution) {
    for (std::size_t i = dense_.size(); i-- > 1;) {
      Dense& below = dense_[i - 1];
      at::mm_out(below.delta, dense_[i].delta, dense_[i].weight);
      if (below.relu) mask_by_relu(floats(below.delta), floats(below.output));
      use_dense(i);
    }
    at::Tensor image_gradient;
    if (!convolutions_.empty()) image_gradient = at::mm(dense_[0].delta, dense_[0].weight).view(image_shape_);
    use_dense(0);
    for (std::size_t i = convolutions_.size(); i-- > 0;) {
      auto [below, weight, bias] = convolutions_[i].backward(image_gradient, i > 0);
      use_convolution(i, weight, bias);
      image_gradient = below;
    }
  }

  void make_room(std::int64_t batch) {
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

  Model& model_;
  std::vector<Convolution> convolutions_;
  std::vector<Dense> dense_;
  std::vector<at::Tensor> gradients_;  // one a parameter; empty until compute() is needed
  FloatBuffer scratch_;                // of compute_through()
  std::vector<std::int64_t> image_shape_;
  std::int64_t batch_ = 0, capacity_ = 0;
};

}  // namespace

std::unique_ptr<Gradients> make_stack_gradients(Model& model) {
  const std::vector<StackLayer> layers = model.stack();
  if (layers.empty() || layers.back().weight.dim() != 2) return nullptr;
  return std::make_unique<StackGradients>(model, layers);
}

std::unique_ptr<Gradients> make_gradients(Model& model) {
  auto gradients = make_stack_gradients(model);
  return gradients ? std::move(gradients) : make_autograd_gradients(model);
}

}  // namespace gossamer
