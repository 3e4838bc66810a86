#pragma once

#include "compression/cuda/memory.h"
#include "compression/random_subset.h"

namespace gossamer::cuda {

// random_k and random_mask: first all values, of which none may be left out of the residual or be NaN.
struct AddResidual {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads, kPart = kEach * kStride;

  const float* values;
  float* residual;
  std::size_t n;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, kPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t begin = number * kPart, end = begin + kPart;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    team.each([&](unsigned thread) {
      const std::size_t first = begin + 4 * thread;
      const auto x = load_sums<kEach>(values, residual, first, kStride, n, whole);
      if (largest_magnitude_of(x) >= kInfinityBits) refuse(refused);
      if (residual != nullptr) store(residual, x, first, kStride, n, whole);
    });
  }
};

// And then those at the first k places of the permutation. The key is the payload's beginning.
struct WriteSubset {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  const float* values;
  float* residual;
  std::size_t n, k;
  std::uint64_t key;
  float scale;
  std::uint8_t* payload;

  std::size_t teams() const { return parts_of(k, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const Permutation place(n, key);
    team.each([&](unsigned thread) {
      const std::size_t i = number * kThreads + thread;
      if (i == 0) store_eight(payload, key, sizeof key);
      if (i >= k) return;
      const std::size_t at = place(i);
      const float x = residual != nullptr ? residual[at] : values[at];
      store_float(payload + sizeof key + i * sizeof x, x);
      if (residual != nullptr) residual[at] = x - x * scale;
    });
  }
};

struct AddSubset {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  const std::uint8_t* payload;
  float weight;
  float* sum;
  std::size_t n, k;
  float scale;

  std::size_t teams() const { return parts_of(k, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::uint64_t key = load_eight(payload, sizeof key);
    const Permutation place(n, key);
    team.each([&](unsigned thread) {
      const std::size_t i = number * kThreads + thread;
      if (i >= k) return;
      float& at = sum[place(i)];
      at = plus(at, weight, load_float(payload + sizeof key + i * sizeof(float)) * scale);
    });
  }
};

}  // namespace gossamer::cuda
