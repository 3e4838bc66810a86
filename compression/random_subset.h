#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// The mixer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
constexpr std::uint64_t mixed_bits(std::uint64_t x) noexcept {
  x = (x ^ x >> 30U) * 0xBF58476D1CE4E5B9U;
  x = (x ^ x >> 27U) * 0x94D049BB133111EBU;
  return x ^ x >> 31U;
}

// A permutation of the numbers below `bound` by a key: a Feistel network over the next even number of bits,
// walked until it comes back below the bound (Black, Rogaway: "Ciphers with arbitrary finite domains", CT-RSA
// 2002). Its first k are a random subset of k places, which only the key has to travel for.
class Permutation {
 public:
  constexpr Permutation(std::size_t bound, std::uint64_t key) noexcept : bound_(bound), key_(key) {
    while (half_ < 32 && (bound - 1) >> (2 * half_) != 0) ++half_;
  }

  constexpr std::size_t operator()(std::size_t i) const noexcept {
    std::uint64_t x = i;
    do {
      x = once(x);
    } while (x >= bound_);
    return static_cast<std::size_t>(x);
  }

 private:
  constexpr std::uint64_t once(std::uint64_t x) const noexcept {
    const std::uint64_t mask = (std::uint64_t{1} << half_) - 1;
    std::uint64_t left = x >> half_, right = x & mask;
    for (std::uint64_t round = 1; round <= 4; ++round) {
      const std::uint64_t next = left ^ (mixed_bits((right ^ key_) + round * 0x9E3779B97F4A7C15U) & mask);
      left = right;
      right = next;
    }
    return left << half_ | right;
  }

  std::size_t bound_;
  unsigned half_ = 1;
  std::uint64_t key_;
};

}  // namespace gossamer
