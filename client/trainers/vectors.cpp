#include "client/trainers/vectors.h"

#include <cstddef>

#include "core/simd.h"

namespace gossamer {
namespace {

GOSSAMER_MULTIVERSION
void subtract_loop(const float* __restrict a, const float* __restrict b, float* __restrict out,
                   std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = a[i] - b[i];
}

GOSSAMER_MULTIVERSION
void scale_in_place_loop(float* y, float factor, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] *= factor;
}

GOSSAMER_MULTIVERSION
void add_scaled_loop(float* __restrict y, float factor, const float* __restrict x, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

GOSSAMER_MULTIVERSION
void proximal_loop(float* __restrict g, float mu, const float* __restrict w, const float* __restrict anchor,
                   std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) g[i] += mu * (w[i] - anchor[i]);
}

GOSSAMER_MULTIVERSION
void momentum_loop(float* __restrict w, float* __restrict v, const float* __restrict g, float momentum,
                   float lr, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    v[i] = momentum * v[i] - lr * g[i];
    w[i] -= lr * g[i];
  }
}

}  // namespace

void subtract(std::span<const float> a, std::span<const float> b, std::span<float> difference) {
  subtract_loop(a.data(), b.data(), difference.data(), difference.size());
}

void scale(std::span<float> y, float factor) { scale_in_place_loop(y.data(), factor, y.size()); }

void add_scaled(std::span<float> y, float factor, std::span<const float> x) {
  add_scaled_loop(y.data(), factor, x.data(), y.size());
}

void add_proximal(std::span<float> gradient, float mu, std::span<const float> w,
                  std::span<const float> anchor) {
  proximal_loop(gradient.data(), mu, w.data(), anchor.data(), gradient.size());
}

void momentum_step(std::span<float> w, std::span<float> velocity, std::span<const float> gradient,
                   float momentum, float lr) {
  momentum_loop(w.data(), velocity.data(), gradient.data(), momentum, lr, w.size());
}

}  // namespace gossamer
