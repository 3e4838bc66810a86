#pragma once

#include <span>

namespace gossamer {

// The loops over flat vectors that the algorithms share. All spans of one call have the same size; none
// overlap.

void subtract(std::span<const float> a, std::span<const float> b, std::span<float> difference);
// y *= factor
void scale(std::span<float> y, float factor);
// y += factor * x
void add_scaled(std::span<float> y, float factor, std::span<const float> x);
// FedProx: gradient += mu * (w - anchor)
void add_proximal(std::span<float> gradient, float mu, std::span<const float> w,
                  std::span<const float> anchor);
// EAMSGD: velocity = momentum * velocity - lr * gradient, w -= lr * gradient
void momentum_step(std::span<float> w, std::span<float> velocity, std::span<const float> gradient,
                   float momentum, float lr);

}  // namespace gossamer
