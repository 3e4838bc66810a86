#pragma once

#include <cstdint>
#include <span>

namespace gossamer {

// Loops of a dense stack's training step that no BLAS has. Matrices are row-major and dense.

// Each row of z += bias, then negative values to 0 if `relu`. NaN stays.
void add_bias(std::span<float> z, std::span<const float> bias, bool relu);
// gradient = 0 where `output`, which a ReLU made, is 0.
void mask_by_relu(std::span<float> gradient, std::span<const float> output);
// y = keep * y + factor * x; keep = 0 does not read y.
void combine(std::span<float> y, float keep, float factor, std::span<const float> x);
// bias = keep * bias + factor * (sum of the rows of delta); keep = 0 does not read bias.
void add_rows(std::span<const float> delta, float keep, float factor, std::span<float> bias);
// Sum over rows of -log softmax(logits)[label]; `delta` becomes scale * (softmax(logits) - one_hot(label)).
// Throws std::out_of_range for a label that is no class.
double softmax_cross_entropy(std::span<const float> logits, std::span<const std::int64_t> labels, float scale,
                             std::span<float> delta);

}  // namespace gossamer
