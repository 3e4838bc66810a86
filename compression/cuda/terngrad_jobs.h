#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// What TernGrad has to know of a tensor before it encodes a value of it, in parts.
struct TernaryTotal {
  double sum, squares;
  std::uint32_t largest;
};

// The totals of 4,096 values each, in 16 lanes; those that are no whole 16 at the end have one of their own.
struct TernaryTotals {
  static constexpr unsigned kThreads = 256, kTeamsAtOnce = 4;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads, kPart = kEach * kStride;
  static constexpr unsigned kLanes = 16;
  struct Shared {
    Quad x[kPart / 4];
    float lanes[2][kLanes];  // of the values, and of their squares
  };

  const float* values;
  const float* residual;
  std::size_t n;
  TernaryTotal* totals;

  static std::size_t parts(std::size_t n) {
    return parts_of(n - n % kLanes, kPart) + (n % kLanes > 0 ? 1 : 0);
  }
  std::size_t teams() const { return parts(n); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const std::size_t even = n - n % kLanes;
    const std::size_t begin = smaller(number * kPart, even);
    const std::size_t end = begin < even ? smaller(begin + kPart, even) : n;
    const bool whole =
        are_whole(values, begin, begin + kPart, end) && are_whole(residual, begin, begin + kPart, end);
    const std::uint32_t largest = team.largest([&](unsigned thread) {
      const auto x = load_sums<kEach>(values, residual, begin + 4 * thread, kStride, end, whole);
      for (int j = 0; j < kEach; ++j) shared.x[j * kThreads + thread] = x.quad[j];
      return largest_magnitude_of(x);
    });
    team.each([&](unsigned thread) {
      if (thread >= 2 * kLanes) return;
      const bool squared = thread >= kLanes;
      float sum = 0;
      const auto count = static_cast<unsigned>(end - begin);
      GOSSAMER_UNROLL_16
      for (unsigned i = thread % kLanes; i < count; i += kLanes) {
        const float x = shared.x[i / 4].at[i % 4];
        sum = sum + x * (squared ? x : 1.0F);
      }
      shared.lanes[thread / kLanes][thread % kLanes] = sum;
    });
    team.each([&](unsigned thread) {
      if (thread >= 2) return;
      double total = 0;
      for (unsigned lane = 0; lane < kLanes; ++lane) total += static_cast<double>(shared.lanes[thread][lane]);
      (thread == 0 ? totals[number].sum : totals[number].squares) = total;
      if (thread == 0) totals[number].largest = largest;
    });
  }
};

// The scaler out of the totals, which are added up in 64 lanes.
struct TernaryScale {
  static constexpr unsigned kThreads = 128;
  static constexpr unsigned kLanes = 64;
  struct Shared {
    double lanes[2][kLanes];
  };

  const TernaryTotal* totals;
  std::size_t parts, n;
  double clip;
  std::uint8_t* payload;
  std::uint32_t* refused;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    static_assert(kThreads == 2 * kLanes);
    const std::uint32_t largest = team.largest([&](unsigned thread) {
      std::uint32_t found = 0;
      for (std::size_t part = thread; part < parts; part += kThreads)
        found = larger(found, totals[part].largest);
      double sum = 0;
      for (std::size_t part = thread % kLanes; part < parts; part += kLanes)
        sum += thread < kLanes ? totals[part].sum : totals[part].squares;
      shared.lanes[thread / kLanes][thread % kLanes] = sum;
      return found;
    });
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      double sum = 0, squares = 0;
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        sum += shared.lanes[0][lane];
        squares += shared.lanes[1][lane];
      }
      const bool finite = largest < kInfinityBits;
      if (!finite) refuse(refused);
      store_float(payload, finite ? ternary_scale_of(sum, squares, float_of(largest), n, clip) : 0.0F);
    });
  }
};

// Blocks of 2,560 values in planes of 512: byte k has a digit of each plane.
inline constexpr std::size_t kTernaryDigits = 5;
inline constexpr std::size_t kTernaryPart = kTernaryDigits * kChunk;
inline constexpr unsigned kTernaryThreads =
    kChunkCounters;  // of a plane each has two quads, half of it apart
inline constexpr int kTernaryQuads = 2 * static_cast<int>(kTernaryDigits);
inline constexpr std::size_t kTernaryStride = 4 * kTernaryThreads;

// With the scaler at the front of the payload, once it is known that no value is to be refused.
struct EncodeTernary {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kTernaryThreads;

  const float* values;
  float* residual;
  std::uint64_t key;
  std::uint8_t* payload;
  std::size_t n;
  const std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, kTernaryPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    if (*refused != 0) return;
    const float scale = load_float(payload), inverse = ternary_inverse(scale);
    const std::size_t begin = number * kTernaryPart, end = begin + kTernaryPart;
    std::uint8_t* const out = payload + sizeof scale + number * kChunk;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    team.each([&](unsigned thread) {
      if (end > n) {
        write_short(number, scale, inverse, out, thread);
        return;
      }
      const std::size_t first = begin + 4 * thread;
      auto x = load_sums<kTernaryQuads>(values, residual, first, kTernaryStride, n, whole);
      std::uint32_t packed[2] = {};
      std::uint32_t place = 1;
      for (int plane = 0; plane < static_cast<int>(kTernaryDigits); ++plane) {
        const RandomWords random =
            random_words(key, (number * kTernaryDigits + plane) * kChunkCounters + thread);
        for (unsigned half = 0; half < 2; ++half) {
          for (unsigned c = 0; c < 4; ++c) {
            float& value = x.quad[2 * plane + half].at[c];
            const std::uint32_t digit = ternary_digit(value, inverse, random_bits(random, half, c));
            value = value - ternary_value(digit, scale);
            packed[half] += digit * place << (8 * c);
          }
        }
        place *= 3;
      }
      store_bytes(out + 4 * thread, packed[0], 4);
      store_bytes(out + kTernaryStride + 4 * thread, packed[1], 4);
      if (residual != nullptr) store(residual, x, first, kTernaryStride, n, whole);
    });
  }

 private:
  // The last block, whose planes are shorter: a byte at a time, all of whose digits are one thread's.
  GOSSAMER_DEVICE void write_short(std::size_t number, float scale, float inverse, std::uint8_t* out,
                                   unsigned thread) const {
    const std::size_t begin = number * kTernaryPart, length = n - begin;
    const std::size_t stride = (length + kTernaryDigits - 1) / kTernaryDigits;
    for (std::size_t k = thread; k < stride; k += kThreads) {
      std::uint32_t byte = 0, place = 1;
      for (std::size_t plane = 0, at = k; at < length; ++plane, at += stride, place *= 3) {
        float x = values[begin + at];
        if (residual != nullptr) x = x + residual[begin + at];
        const std::uint32_t digit =
            ternary_digit(x, inverse, random_bits_at(key, number * kTernaryDigits + plane, k));
        if (residual != nullptr) residual[begin + at] = x - ternary_value(digit, scale);
        byte += digit * place;
      }
      out[k] = static_cast<std::uint8_t>(byte);
    }
  }
};

struct AddTernary {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kTernaryThreads;

  const std::uint8_t* payload;
  float weight;
  float* sum;
  std::size_t n;

  std::size_t teams() const { return parts_of(n, kTernaryPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const float scale = load_float(payload);
    const std::size_t begin = number * kTernaryPart, end = begin + kTernaryPart;
    const std::uint8_t* const in = payload + sizeof scale + number * kChunk;
    const bool whole = are_whole(sum, begin, end, n);
    team.each([&](unsigned thread) {
      if (end > n) {
        add_short(in, scale, begin, thread);
        return;
      }
      const std::size_t first = begin + 4 * thread;
      auto total = load<kTernaryQuads>(sum, first, kTernaryStride, n, whole);
      for (unsigned half = 0; half < 2; ++half) {
        const std::uint32_t packed = load_bytes(in + half * kTernaryStride + 4 * thread, 4);
        for (unsigned c = 0; c < 4; ++c) {
          std::uint32_t left = packed >> (8 * c) & 0xFFU;
          for (int plane = 0; plane < static_cast<int>(kTernaryDigits); ++plane, left /= 3) {
            float& value = total.quad[2 * plane + static_cast<int>(half)].at[c];
            value = plus(value, weight, ternary_value(left % 3, scale));
          }
        }
      }
      store(sum, total, first, kTernaryStride, n, whole);
    });
  }

 private:
  GOSSAMER_DEVICE void add_short(const std::uint8_t* in, float scale, std::size_t begin,
                                 unsigned thread) const {
    const std::size_t length = n - begin, stride = (length + kTernaryDigits - 1) / kTernaryDigits;
    for (std::size_t k = thread; k < stride; k += kThreads) {
      std::uint32_t left = in[k];
      for (std::size_t at = begin + k; at < n; at += stride, left /= 3)
        sum[at] = plus(sum[at], weight, ternary_value(left % 3, scale));
    }
  }
};

}  // namespace gossamer::cuda
