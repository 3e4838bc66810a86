#pragma once

#include <cstddef>

#include "compression/rotation.h"

namespace gossamer {

// What is larger counts as that: no sum of a rotation is infinite.
inline constexpr float kMostSketched = 0x1p100F;
// A block of a smaller range counts as of one value: 1 / step would overflow.
inline constexpr float kLeastRange = 0x1p-100F;

// What a block of so many values, at most kMostRotation, is padded to.
constexpr std::size_t sketch_length(std::size_t floats) noexcept {
  if (floats == 0) return 0;
  std::size_t length = kLeastRotation;
  while (length < floats) length *= 2;
  return length;
}

// Its bytes.
constexpr std::size_t sketch_bytes(std::size_t length, int bits) noexcept {
  return 2 * sizeof(float) + length * static_cast<std::size_t>(bits) / 8;
}

}  // namespace gossamer
