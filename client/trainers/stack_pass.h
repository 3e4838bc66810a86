#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <tuple>
#include <vector>

#include "client/trainers/gradient_flow.h"
#include "core/model.h"

namespace gossamer {

// Forward and backward pass of a plain stack of convolutions and dense layers without autograd: the same
// matrix products and convolutions, but none of the graph's bookkeeping, into memory that is kept. What
// becomes of the layers' gradients is the caller's affair. All calls are made with gradients disabled. Not
// thread-safe.
class StackPass {
 public:
  struct Convolution {
    at::Tensor weight, bias;
    std::vector<std::int64_t> padding;
    bool relu, pool;
    // Of the batch at hand: what came in, the ReLU's result or where the pool's results came from.
    at::Tensor input{}, output{}, winners{};
    std::int64_t height = 0, width = 0;  // before the pool

    at::Tensor forward(const at::Tensor& x);
    // The gradient with respect to what the convolution itself computed.
    at::Tensor delta(const at::Tensor& gradient) const;
    // From that: the gradients of input (if asked for), weight and bias, or of input alone.
    std::tuple<at::Tensor, at::Tensor, at::Tensor> gradients(const at::Tensor& delta,
                                                             bool input_gradient) const;
    at::Tensor input_gradient(const at::Tensor& delta) const;
  };

  struct Dense {
    at::Tensor weight, weight_t, bias;
    bool relu;
    // Room for the largest batch so far, and the parts of it for the batch at hand; `delta` is the gradient
    // of the loss with respect to weight * input + bias.
    at::Tensor output_room{}, delta_room{};
    at::Tensor input{}, output{}, delta{}, delta_t{};
  };

  // Requires a model that is a plain stack which ends with a dense layer.
  explicit StackPass(Model& model);
  static bool fits(const Model& model);

  // Mean loss over a batch. Leaves the gradient of share * loss with respect to the logits in the last
  // layer's delta. Throws std::out_of_range for a label that is no class.
  float forward(const at::Tensor& features, const at::Tensor& labels, float share,
                GradientFlow* flow = nullptr);

  // Completes the deltas, from the last layer to the first. `use_dense(i)`: dense layer i has its delta, and
  // its weight is not read any more. `use_convolution(i, delta)` returns the gradient of its input, where
  // there is a layer below.
  template <class UseDense, class UseConvolution>
  void backward(const UseDense& use_dense, const UseConvolution& use_convolution) {
    for (std::size_t i = dense_.size(); i-- > 1;) {
      through_dense(i);
      use_dense(i);
    }
    at::Tensor gradient;
    if (!convolutions_.empty()) gradient = at::mm(dense_[0].delta, dense_[0].weight).view(image_shape_);
    use_dense(0);
    for (std::size_t i = convolutions_.size(); i-- > 0;) {
      gradient = use_convolution(i, convolutions_[i].delta(gradient));
    }
  }

  std::vector<Convolution>& convolutions() noexcept { return convolutions_; }
  std::vector<Dense>& dense() noexcept { return dense_; }

 private:
  void announce(GradientFlow* flow, std::size_t layer) const;
  void through_dense(std::size_t layer);
  void make_room(std::int64_t batch);

  Model& model_;
  std::vector<Convolution> convolutions_;
  std::vector<Dense> dense_;
  std::vector<std::int64_t> image_shape_;
  std::int64_t batch_ = 0, capacity_ = 0;
};

// The elements of a dense float tensor.
std::span<float> floats(const at::Tensor& tensor);

}  // namespace gossamer
