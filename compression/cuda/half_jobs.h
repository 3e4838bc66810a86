#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// fp16 and bf16.
template <class Format>
struct EncodeHalves {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 4;  // quads a thread
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
        std::uint64_t halves = 0;
        for (int c = 0; c < 4; ++c) {
          float& value = x.quad[j].at[c];
          const std::uint32_t half = Format::encode(value);
          value = value - Format::decode(half);
          halves |= std::uint64_t{half} << (16 * c);
        }
        const std::size_t at = first + j * kStride;
        const std::size_t left = 2 * left_of(n, at);
        store_eight(payload + 2 * at, halves, left);
      }
      if (residual != nullptr) store(residual, x, first, kStride, n, whole);
    });
  }
};

// sum += weight * decoded, as all jobs whose names begin with Add.
template <class Format>
struct AddHalves {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads, kPart = kEach * kStride;

  const std::uint8_t* payload;
  float weight;
  float* sum;
  std::size_t n;

  std::size_t teams() const { return parts_of(n, kPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t begin = number * kPart;
    const bool whole = are_whole(sum, begin, begin + kPart, n);
    team.each([&](unsigned thread) {
      const std::size_t first = begin + 4 * thread;
      auto total = load<kEach>(sum, first, kStride, n, whole);
      for (int j = 0; j < kEach; ++j) {
        const std::size_t at = first + j * kStride;
        const std::size_t left = 2 * left_of(n, at);
        const std::uint64_t halves = load_eight(payload + 2 * at, left);
        for (int c = 0; c < 4; ++c) {
          const auto half = static_cast<std::uint32_t>(halves >> (16 * c) & 0xFFFFU);
          total.quad[j].at[c] = plus(total.quad[j].at[c], weight, Format::decode(half));
        }
      }
      store(sum, total, first, kStride, n, whole);
    });
  }
};

}  // namespace gossamer::cuda
