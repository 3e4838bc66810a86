#pragma once

#include <cstddef>
#include <cstdint>

#include "compression/method.h"

namespace gossamer {

// Lists are written in whole vectors: there has to be room for so many more than are listed.
inline constexpr std::size_t kListPadding = 16;

// Lists the values whose magnitudes are at least `threshold`, and their indices, in order; there has to be
// room for all n of them, and the padding. Returns how many, or SIZE_MAX where a value is NaN or infinite.
// With `residual` (not null) the values are values + residual, which is where they are left.
std::size_t list_large_values(const float* values, float* residual, std::size_t n, float threshold,
                              std::uint32_t* indices, float* listed);

struct LargeValues {
  std::size_t count;  // or SIZE_MAX
  bool cancelled;     // whether a value is zero though its velocity has a bit that is not
};
// The same with values that go through the momentum first, and a residual that is not null.
LargeValues list_large_values(const float* values, const Momentum& momentum, float* residual, std::size_t n,
                              float threshold, std::uint32_t* indices, float* listed);

}  // namespace gossamer
