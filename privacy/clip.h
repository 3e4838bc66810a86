#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/layout.h"
#include "core/update.h"
#include "privacy/accountants/accountant.h"

namespace gossamer {

// The end of each layer's parameters in the flat vector, in its order. A layer is a module: a weight and its
// bias are one.
std::vector<std::size_t> layer_ends(const ParameterLayout& layout);

// L2, for Laplace noise L1, for `pure` the largest value; computed in doubles. Not finite where a value is
// not.
double norm_for(NoiseKind noise, std::span<const float> values);

// Shortens a vector that is longer than `bound`, so that its norm is not above it, rounding included; for
// `pure` each value by itself. One that is not finite becomes zero. Returns the norm that it had. Requires
// bound > 0.
double clip_to(NoiseKind noise, double bound, std::span<float> values);

// values *= factor, 0 <= factor <= 1, where it is not 1.
void shrink(std::span<float> values, double factor);

// Takes out of an update what leaves a client without noise otherwise: its loss, the number of its examples,
// what it measured, and its buffers, which become zero.
void conceal(Update& update, std::size_t parameters);

}  // namespace gossamer
