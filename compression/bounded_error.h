#pragma once

#include <cmath>

namespace gossamer {

// What bounded_error's values are multiples of: twice the largest power of two that is no more than the
// bound.
inline float bounded_error_step(double bound) {
  return static_cast<float>(std::ldexp(1.0, static_cast<int>(std::floor(std::log2(bound))) + 1));
}

}  // namespace gossamer
