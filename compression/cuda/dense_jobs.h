#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// The floats themselves: pieces of which the methods for matrices make no factors.
struct EncodeDense {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads, kPart = kEach * kStride;

  const float* values;
  float* residual;
  std::uint8_t* payload;
  std::size_t n;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, kPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t begin = number * kPart, end = begin + kPart;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    team.each([&](unsigned thread) {
      const std::size_t first = begin + 4 * thread;
      auto x = load_sums<kEach>(values, residual, first, kStride, n, whole);
      if (largest_magnitude_of(x) >= kInfinityBits) refuse(refused);
      for (int j = 0; j < kEach; ++j) {
        for (int c = 0; c < 4; ++c) {
          const std::size_t i = first + j * kStride + c;
          float& value = x.quad[j].at[c];
          if (i < n) store_float(payload + i * sizeof value, value);
          value = plus(value, -1, value);
        }
      }
      if (residual != nullptr) store(residual, x, first, kStride, n, whole);
    });
  }
};

struct AddDense {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr std::size_t kEach = 4;

  const std::uint8_t* payload;
  float weight;
  float* sum;
  std::size_t n;

  std::size_t teams() const { return parts_of(n, kEach * kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    team.each([&](unsigned thread) {
      for (std::size_t k = 0; k < kEach; ++k) {
        const std::size_t i = (number * kEach + k) * kThreads + thread;
        if (i < n) sum[i] = plus(sum[i], weight, load_float(payload + i * sizeof(float)));
      }
    });
  }
};

}  // namespace gossamer::cuda
