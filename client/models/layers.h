#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "core/rng.h"

namespace gossamer {

// The pieces that most of a small network's time goes to, as single autograd nodes. Each gives what the ATen
// operations in its comment give, up to the order of additions, in less time: fewer nodes and temporaries,
// and a pooling loop that vectorises. Tensors are float32; on another device than the processor it is those
// ATen operations that run, but for the two halves of pooling, which are for host memory only.

// x [n, in], weight [out, in], bias [out] -> [n, out]: linear().
at::Tensor dense(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
// relu(linear(x, weight, bias)).
at::Tensor dense_relu(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);
// relu(max_pool2d(x, 2)) of x [n, channels, height, width], which equals max_pool2d(relu(x), 2).
at::Tensor max_pool2_relu(const at::Tensor& x);
// Its two halves, outside of autograd. `winners` says where each output came from; null if not wanted. The
// gradient is that of an x of height x width.
at::Tensor max_pool2_relu_forward(const at::Tensor& x, at::Tensor* winners);
at::Tensor max_pool2_relu_backward(const at::Tensor& gradient, const at::Tensor& winners, std::int64_t height,
                                   std::int64_t width);
// cross_entropy_loss(logits [n, classes], labels [n]). Throws std::out_of_range for a label that is no class.
at::Tensor softmax_cross_entropy(const at::Tensor& logits, const at::Tensor& labels);

// Random parts of a network, drawn from `rng` and from nothing else. Dropout zeroes a value with probability
// `p` and scales the rest by 1/(1 - p). A crop of x [n, channels, height, width] to size x size takes another
// place for each example; it is not differentiated.
at::Tensor dropout(const at::Tensor& x, double p, Rng& rng);
at::Tensor random_crop(const at::Tensor& x, std::int64_t size, Rng& rng);
at::Tensor centre_crop(const at::Tensor& x, std::int64_t size);

}  // namespace gossamer
