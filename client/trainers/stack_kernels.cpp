#include "client/trainers/stack_kernels.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>

#include "core/simd.h"

namespace gossamer {
namespace {

GOSSAMER_MULTIVERSION
void bias_loop(float* __restrict z, const float* __restrict bias, std::size_t rows, std::size_t columns) {
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) z[i * columns + j] += bias[j];
  }
}

GOSSAMER_MULTIVERSION
void bias_relu_loop(float* __restrict z, const float* __restrict bias, std::size_t rows,
                    std::size_t columns) {
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      const float sum = z[i * columns + j] + bias[j];
      z[i * columns + j] = sum < 0 ? 0 : sum;
    }
  }
}

GOSSAMER_MULTIVERSION
void mask_loop(float* __restrict gradient, const float* __restrict output, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) gradient[i] = output[i] == 0 ? 0 : gradient[i];
}

GOSSAMER_MULTIVERSION
void rows_loop(const float* __restrict delta, std::size_t rows, std::size_t columns, float keep, float factor,
               float* __restrict bias) {
  for (std::size_t j = 0; j < columns; ++j) bias[j] = keep == 0 ? 0 : keep * bias[j];
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) bias[j] += factor * delta[i * columns + j];
  }
}

GOSSAMER_MULTIVERSION
void combine_loop(float* __restrict y, float keep, float factor, const float* __restrict x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] = (keep == 0 ? 0 : keep * y[i]) + factor * x[i];
}

}  // namespace

void combine(std::span<float> y, float keep, float factor, std::span<const float> x) {
  combine_loop(y.data(), keep, factor, x.data(), y.size());
}

void add_bias(std::span<float> z, std::span<const float> bias, bool relu) {
  (relu ? bias_relu_loop : bias_loop)(z.data(), bias.data(), z.size() / bias.size(), bias.size());
}

void mask_by_relu(std::span<float> gradient, std::span<const float> output) {
  mask_loop(gradient.data(), output.data(), gradient.size());
}

void add_rows(std::span<const float> delta, float keep, float factor, std::span<float> bias) {
  rows_loop(delta.data(), delta.size() / bias.size(), bias.size(), keep, factor, bias.data());
}

double softmax_cross_entropy(std::span<const float> logits, std::span<const std::int64_t> labels, float scale,
                             std::span<float> delta) {
  const std::size_t classes = logits.size() / labels.size();
  double loss = 0;
  for (std::size_t row = 0; row < labels.size(); ++row) {
    const std::int64_t label = labels[row];
    if (label < 0 || label >= static_cast<std::int64_t>(classes)) {
      throw std::out_of_range("label " + std::to_string(label) + " of " + std::to_string(classes) +
                              " classes");
    }
    const float* z = logits.data() + row * classes;
    float* d = delta.data() + row * classes;
    const float largest = *std::max_element(z, z + classes);
    float sum = 0;
    for (std::size_t j = 0; j < classes; ++j) sum += d[j] = std::exp(z[j] - largest);
    loss += static_cast<double>(std::log(sum) - (z[label] - largest));
    for (std::size_t j = 0; j < classes; ++j) d[j] *= scale / sum;
    d[label] -= scale;
  }
  return loss;
}

}  // namespace gossamer
