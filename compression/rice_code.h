// The rule of sparse_indices.h that both processors and GPUs follow.
#pragma once

#include <cstddef>

namespace gossamer {

// How many lower bits of a gap are written as they are, where `count` (not 0) numbers below `bound` are
// listed: the best number for geometric gaps of this mean, log2(ln 2 * mean), rounded (Golomb 1966).
constexpr unsigned rice_low_bits(std::size_t bound, std::size_t count) {
  const std::size_t mean = bound / count;
  if (mean <= 1) return 0;
  unsigned bits = 0;
  for (auto rest = static_cast<std::size_t>(static_cast<double>(mean) * 0.6931 * 1.4142); rest > 1; rest /= 2)
    ++bits;
  return bits;
}

// The longest code of them, in bytes.
constexpr std::size_t most_rice_bytes(std::size_t bound, std::size_t count) {
  const unsigned low_bits = rice_low_bits(bound, count);
  return (count * (low_bits + 1) + (bound >> low_bits) + 7) / 8;
}

}  // namespace gossamer
