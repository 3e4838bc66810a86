#include "client/models/layers.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <stdexcept>

namespace gossamer {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <bool kRelu>
Tensor dense_forward(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor y = at::addmm(bias, x, weight.t());
  if (kRelu) y.relu_();
  return y;
}

template <bool kRelu>
struct Dense : torch::autograd::Function<Dense<kRelu>> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
    Tensor y = dense_forward<kRelu>(x, weight, bias);
    ctx->saved_data["input_gradient"] = x.requires_grad();
    if (kRelu) {
      ctx->save_for_backward({x, weight, y});
    } else {
      ctx->save_for_backward({x, weight});
    }
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor g = kRelu ? at::threshold_backward(gradients[0], saved[2], 0) : gradients[0];
    Tensor gx;
    if (ctx->saved_data["input_gradient"].toBool()) gx = at::mm(g, saved[1]);
    return {gx, at::mm(g.t(), saved[0]), g.sum(0)};
  }
};

// The loops below are written for the vectoriser: no branches, no pointers that may alias, 4-byte elements
// throughout. NaN wins a comparison, as in ATen, so that a diverged model shows.
bool wins(float challenger, float best) {
  return static_cast<bool>(static_cast<int>(challenger > best) | static_cast<int>(challenger != challenger));
}
float larger(float a, float b) { return wins(b, a) ? b : a; }
float relu(float x) { return x < 0 ? 0 : x; }

void pool_row(const float* __restrict upper, const float* __restrict lower, std::int64_t columns,
              float* __restrict out) {
  for (std::int64_t j = 0; j < columns; ++j) {
    out[j] = relu(larger(larger(larger(upper[2 * j], upper[2 * j + 1]), lower[2 * j]), lower[2 * j + 1]));
  }
}

// Which of the four values an output came from, row by row, or kNoWinner where the ReLU stopped it.
constexpr std::int32_t kNoWinner = 4;

void pool_row(const float* __restrict upper, const float* __restrict lower, std::int64_t columns,
              float* __restrict out, std::int32_t* __restrict winners) {
  for (std::int64_t j = 0; j < columns; ++j) {
    const float a = upper[2 * j], b = upper[2 * j + 1], c = lower[2 * j], d = lower[2 * j + 1];
    const float ab = larger(a, b), abc = larger(ab, c), best = larger(abc, d);
    // The last comparison that changed the maximum names the winner.
    std::int32_t winner = wins(b, a) ? 1 : 0;
    winner = wins(c, ab) ? 2 : winner;
    winner = wins(d, abc) ? 3 : winner;
    winners[j] = best <= 0 ? kNoWinner : winner;
    out[j] = relu(best);
  }
}

void unpool_row(const float* __restrict gradient, const std::int32_t* __restrict winners,
                std::int64_t columns, float* __restrict upper, float* __restrict lower) {
  for (std::int64_t j = 0; j < columns; ++j) {
    const auto bits = std::bit_cast<std::uint32_t>(gradient[j]);
    const std::int32_t winner = winners[j];
    // A mask in place of a choice, which the compiler would turn into a jump.
    const auto if_winner = [&](std::int32_t i) {
      return std::bit_cast<float>(bits & (0U - static_cast<std::uint32_t>(winner == i)));
    };
    upper[2 * j] = if_winner(0);
    upper[2 * j + 1] = if_winner(1);
    lower[2 * j] = if_winner(2);
    lower[2 * j + 1] = if_winner(3);
  }
}

struct MaxPool2Relu : torch::autograd::Function<MaxPool2Relu> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x) {
    Tensor winners;
    Tensor y = max_pool2_relu_forward(x, &winners);
    ctx->save_for_backward({winners});
    ctx->saved_data["height"] = x.size(2);
    ctx->saved_data["width"] = x.size(3);
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    return {max_pool2_relu_backward(gradients[0], ctx->get_saved_variables()[0],
                                    ctx->saved_data["height"].toInt(), ctx->saved_data["width"].toInt())};
  }
};

void check_labels(const std::int64_t* labels, std::int64_t count, std::int64_t n, std::int64_t classes) {
  if (count != n) throw std::out_of_range("one label for each row of logits is needed");
  for (std::int64_t i = 0; i < n; ++i) {
    if (labels[i] < 0 || labels[i] >= classes) throw std::out_of_range("label " + std::to_string(labels[i]));
  }
}

Tensor mean_of(double sum, std::int64_t n) {
  Tensor mean = at::empty({}, at::kFloat);
  *mean.data_ptr<float>() = static_cast<float>(sum / static_cast<double>(n));
  return mean;
}

// For a few classes, ATen's log_softmax() spends most of its time between the rows; exp() of the whole matrix
// does not.
Tensor mean_cross_entropy(const Tensor& logits, const Tensor& labels) {
  const std::int64_t n = logits.size(0), classes = logits.size(1);
  const std::int64_t* label = labels.data_ptr<std::int64_t>();
  check_labels(label, labels.numel(), n, classes);
  Tensor shifted = at::empty(logits.sizes(), logits.options());
  const float* z = logits.data_ptr<float>();
  float* values = shifted.data_ptr<float>();
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = z + i * classes;
    float largest = row[0];
    for (std::int64_t j = 1; j < classes; ++j) largest = larger(largest, row[j]);
    for (std::int64_t j = 0; j < classes; ++j) values[i * classes + j] = row[j] - largest;
    sum -= static_cast<double>(values[i * classes + label[i]]);
  }
  shifted.exp_();
  for (std::int64_t i = 0; i < n; ++i) {
    double total = 0;
    for (std::int64_t j = 0; j < classes; ++j) total += static_cast<double>(values[i * classes + j]);
    sum += std::log(total);
  }
  return mean_of(sum, n);
}

struct SoftmaxCrossEntropy : torch::autograd::Function<SoftmaxCrossEntropy> {
  static Tensor forward(AutogradContext* ctx, const Tensor& logits, const Tensor& labels) {
    const Tensor log_softmax = at::log_softmax(logits, 1);
    const std::int64_t n = logits.size(0), classes = logits.size(1);
    const std::int64_t* label = labels.data_ptr<std::int64_t>();
    check_labels(label, labels.numel(), n, classes);
    const float* values = log_softmax.data_ptr<float>();
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) sum -= static_cast<double>(values[i * classes + label[i]]);
    ctx->save_for_backward({log_softmax, labels});
    return mean_of(sum, n);
  }

  // d loss / d logits = (softmax - one_hot(labels)) / n.
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const variable_list saved = ctx->get_saved_variables();
    Tensor g = at::exp(saved[0]);
    const std::int64_t n = g.size(0), classes = g.size(1);
    const float scale = gradients[0].item<float>() / static_cast<float>(n);
    float* values = g.data_ptr<float>();
    const std::int64_t* label = saved[1].data_ptr<std::int64_t>();
    for (std::int64_t i = 0; i < n; ++i) values[i * classes + label[i]] -= 1;
    for (std::int64_t i = 0; i < n * classes; ++i) values[i] *= scale;
    return {g, Tensor()};
  }
};

}  // namespace

Tensor max_pool2_relu_forward(const Tensor& x, Tensor* winners) {
  const Tensor input = x.contiguous();
  const std::int64_t planes = input.size(0) * input.size(1), height = input.size(2), width = input.size(3);
  const std::int64_t rows = height / 2, columns = width / 2;
  Tensor output = at::empty({input.size(0), input.size(1), rows, columns}, input.options());
  const float* in = input.data_ptr<float>();
  float* out = output.data_ptr<float>();
  std::int32_t* winner = nullptr;
  if (winners != nullptr) {
    *winners = at::empty(output.sizes(), at::kInt);
    winner = winners->data_ptr<std::int32_t>();
  }
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* upper = in + (plane * height + 2 * row) * width;
      if (winner == nullptr) {
        pool_row(upper, upper + width, columns, out);
      } else {
        pool_row(upper, upper + width, columns, out, winner);
        winner += columns;
      }
      out += columns;
    }
  }
  return output;
}

Tensor max_pool2_relu_backward(const Tensor& gradient, const Tensor& winners, std::int64_t height,
                               std::int64_t width) {
  const Tensor g = gradient.contiguous();
  const std::int64_t planes = g.size(0) * g.size(1), rows = g.size(2), columns = g.size(3);
  const std::array<std::int64_t, 4> shape{g.size(0), g.size(1), height, width};
  const bool covered = height == 2 * rows && width == 2 * columns;
  Tensor result = covered ? at::empty(shape, g.options()) : at::zeros(shape, g.options());
  const float* in = g.data_ptr<float>();
  const std::int32_t* winner = winners.data_ptr<std::int32_t>();
  float* out = result.data_ptr<float>();
  for (std::int64_t plane = 0; plane < planes; ++plane) {
    for (std::int64_t row = 0; row < rows; ++row) {
      float* upper = out + (plane * height + 2 * row) * width;
      unpool_row(in, winner, columns, upper, upper + width);
      in += columns;
      winner += columns;
    }
  }
  return result;
}

Tensor dense(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (!at::GradMode::is_enabled()) return dense_forward<false>(x, weight, bias);
  return Dense<false>::apply(x, weight, bias);
}

Tensor dense_relu(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  if (!at::GradMode::is_enabled()) return dense_forward<true>(x, weight, bias);
  return Dense<true>::apply(x, weight, bias);
}

Tensor max_pool2_relu(const Tensor& x) {
  if (!x.is_cpu()) return at::threshold(at::max_pool2d(x, 2), 0, 0);
  if (!at::GradMode::is_enabled()) return max_pool2_relu_forward(x, nullptr);
  return MaxPool2Relu::apply(x);
}

Tensor softmax_cross_entropy(const Tensor& logits, const Tensor& labels) {
  if (!logits.is_cpu()) return at::cross_entropy_loss(logits, labels);
  if (!at::GradMode::is_enabled()) return mean_cross_entropy(logits.contiguous(), labels.contiguous());
  return SoftmaxCrossEntropy::apply(logits.contiguous(), labels.contiguous());
}

Tensor dropout(const Tensor& x, double p, Rng& rng) {
  Tensor mask = at::empty(x.sizes(), at::kFloat);
  float* values = mask.data_ptr<float>();
  const auto threshold = static_cast<float>(p);
  const auto scale = static_cast<float>(1.0 / (1.0 - p));
  for (std::int64_t i = 0; i < mask.numel(); ++i) values[i] = rng.uniform_float() < threshold ? 0 : scale;
  return x * mask.to(x.device());
}

Tensor random_crop(const Tensor& x, std::int64_t size, Rng& rng) {
  const Tensor input = x.contiguous();
  const std::int64_t n = input.size(0), channels = input.size(1), height = input.size(2),
                     width = input.size(3);
  const auto place = [&](std::int64_t extent) {
    return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(extent - size + 1)));
  };
  if (!x.is_cpu()) {
    std::vector<Tensor> crops;
    for (std::int64_t example = 0; example < n; ++example) {
      const std::int64_t top = place(height), left = place(width);
      crops.push_back(input[example].narrow(1, top, size).narrow(2, left, size));
    }
    return at::stack(crops);
  }
  Tensor output = at::empty({n, channels, size, size}, input.options());
  float* out = output.data_ptr<float>();
  for (std::int64_t example = 0; example < n; ++example) {
    const std::int64_t top = place(height), left = place(width);
    for (std::int64_t channel = 0; channel < channels; ++channel) {
      const float* plane = input.data_ptr<float>() + (example * channels + channel) * height * width;
      for (std::int64_t row = 0; row < size; ++row, out += size) {
        std::copy_n(plane + (top + row) * width + left, size, out);
      }
    }
  }
  return output;
}

Tensor centre_crop(const Tensor& x, std::int64_t size) {
  return x.narrow(2, (x.size(2) - size) / 2, size).narrow(3, (x.size(3) - size) / 2, size).contiguous();
}

}  // namespace gossamer
