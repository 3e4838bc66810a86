#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// A block of one_bit goes through shared memory in tiles, of which one is enough as long as the key has its
// default. Its sums are of 16 lanes, each in order: a thread for each lane of either side.
struct OneBitLayout {
  std::size_t block, n;

  GOSSAMER_DEVICE std::size_t begin(std::size_t number) const { return number * block; }
  GOSSAMER_DEVICE std::size_t length(std::size_t number) const { return smaller(block, n - begin(number)); }
  // Where its payload begins: the two means, and then the signs.
  GOSSAMER_DEVICE std::size_t offset(std::size_t number) const {
    return number * (2 * sizeof(float) + (block + 7) / 8);
  }
};

struct EncodeOneBit {
  static constexpr unsigned kThreads = 256, kTeamsAtOnce = 4;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads, kRound = kEach * kStride, kTile = 2 * kRound;
  static constexpr unsigned kLanes = 16;
  struct Shared {
    Quad x[kTile / 4];
    alignas(8) std::uint8_t nibbles[kTile / 4];  // the signs of each quad
    float sums[2][kLanes];                       // of the values below zero, and of the others
    std::uint32_t counts[2][kLanes];
    float means[2];
    bool finite[2];
  };

  const float* values;
  float* residual;
  std::size_t block;
  std::uint8_t* payload;
  std::size_t n;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, block); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const OneBitLayout layout{block, n};
    const std::size_t begin = layout.begin(number), length = layout.length(number);
    std::uint8_t* const out = payload + layout.offset(number);
    team.each([&](unsigned thread) {
      if (thread >= 2 * kLanes) return;
      shared.sums[thread / kLanes][thread % kLanes] = 0;
      shared.counts[thread / kLanes][thread % kLanes] = 0;
    });
    for (std::size_t tile = 0; tile < length; tile += kTile) {
      const std::size_t count = smaller(kTile, length - tile);
      read_tile(team, begin + tile, count, length > kTile, shared);
      team.each([&](unsigned thread) {
        write_signs(thread, count, out + 2 * sizeof(float) + tile / 8, shared);
        if (thread < 2 * kLanes) add_up(thread / kLanes, thread % kLanes, count, shared);
      });
    }
    team.each([&](unsigned side) {
      if (side >= 2) return;
      double total = 0;
      std::size_t count = 0;
      for (unsigned lane = 0; lane < kLanes; ++lane) {
        total += static_cast<double>(shared.sums[side][lane]);
        count += shared.counts[side][lane];
      }
      shared.finite[side] = is_finite(total);
      shared.means[side] = side_mean(total, count);
      store_float(out + side * sizeof(float), shared.means[side]);
    });
    if (!shared.finite[0] || !shared.finite[1]) {
      refuse(refused);
      return;
    }
    if (residual == nullptr) return;
    for (std::size_t tile = 0; tile < length; tile += kTile)
      subtract_means(team, begin + tile, smaller(kTile, length - tile), length > kTile, shared);
  }

 private:
  // Into shared memory; and, where there is a residual and another tile comes, into the residual.
  template <class Team>
  GOSSAMER_DEVICE void read_tile(Team& team, std::size_t begin, std::size_t count, bool is_one_of_many,
                                 Shared& shared) const {
    const std::size_t end = begin + count;
    const bool whole =
        count == kTile && are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    team.each([&](unsigned thread) {
      GOSSAMER_UNROLL_1
      for (std::size_t round = 0; round < kTile; round += kRound) {
        const std::size_t first = begin + round + 4 * thread;
        const auto x = load_sums<kEach>(values, residual, first, kStride, end, whole);
        for (int j = 0; j < kEach; ++j) {
          const std::size_t number = round / 4 + j * kThreads + thread;
          shared.x[number] = x.quad[j];
          shared.nibbles[number] = signs_of(x.quad[j]);
        }
        if (residual != nullptr && is_one_of_many) store(residual, x, first, kStride, end, whole);
      }
    });
  }

  // 1 where a value is at least 0, the first lowest.
  GOSSAMER_DEVICE static std::uint8_t signs_of(const Quad& x) {
    std::uint32_t signs = 0;
    for (unsigned c = 0; c < 4; ++c) signs |= (x.at[c] >= 0 ? 1U : 0U) << c;
    return static_cast<std::uint8_t>(signs);
  }

  // The signs of 32 values.
  GOSSAMER_DEVICE static void write_signs(unsigned word, std::size_t count, std::uint8_t* bits,
                                          const Shared& shared) {
    static_assert(kTile / 32 == kThreads);
    const std::size_t first = 32 * std::size_t{word};
    if (first >= count) return;
    std::uint64_t nibbles;
    memcpy(&nibbles, &shared.nibbles[8 * word], sizeof nibbles);
    std::uint32_t signs = 0;
    for (unsigned k = 0; k < 8; ++k)
      signs |= static_cast<std::uint32_t>(nibbles >> (8 * k) & 0xFU) << (4 * k);
    const std::size_t left = count - first;
    if (left < 32) signs &= (1U << left) - 1U;
    store_bytes(bits + 4 * word, signs, (left + 7) / 8);
  }

  // Zeros in the place of the other side's values: a sum that waits for nothing but the sum before it.
  GOSSAMER_DEVICE static void add_up(unsigned side, unsigned lane, std::size_t count, Shared& shared) {
    float sum = shared.sums[side][lane];
    std::uint32_t of_side = shared.counts[side][lane];
    GOSSAMER_UNROLL_16
    for (auto i = lane; i < static_cast<unsigned>(count); i += kLanes) {
      const float x = shared.x[i / 4].at[i % 4];
      const bool belongs = (x >= 0 ? 1U : 0U) == side;
      sum = sum + (belongs ? x : 0.0F);
      of_side += belongs ? 1 : 0;
    }
    shared.sums[side][lane] = sum;
    shared.counts[side][lane] = of_side;
  }

  template <class Team>
  GOSSAMER_DEVICE void subtract_means(Team& team, std::size_t begin, std::size_t count, bool is_one_of_many,
                                      Shared& shared) const {
    const std::size_t end = begin + count;
    const bool whole = count == kTile && are_whole(residual, begin, end, n);
    team.each([&](unsigned thread) {
      GOSSAMER_UNROLL_1
      for (std::size_t round = 0; round < kTile; round += kRound) {
        const std::size_t first = begin + round + 4 * thread;
        Quads<kEach> x;
        if (is_one_of_many) {
          x = load<kEach>(residual, first, kStride, end, whole);
        } else {
          for (int j = 0; j < kEach; ++j) x.quad[j] = shared.x[round / 4 + j * kThreads + thread];
        }
        for (int j = 0; j < kEach; ++j) {
          for (int c = 0; c < 4; ++c) {
            float& value = x.quad[j].at[c];
            value = value - (value >= 0 ? shared.means[1] : shared.means[0]);
          }
        }
        store(residual, x, first, kStride, end, whole);
      }
    });
  }
};

struct AddOneBit {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 8;
  static constexpr std::size_t kStride = 4 * kThreads, kTile = kEach * kStride;

  const std::uint8_t* payload;
  std::size_t block;
  float weight;
  float* sum;
  std::size_t n;

  std::size_t teams() const { return parts_of(n, block); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const OneBitLayout layout{block, n};
    const std::size_t begin = layout.begin(number), end = begin + layout.length(number);
    const std::uint8_t* const in = payload + layout.offset(number);
    const float below = weight * load_float(in), above = weight * load_float(in + sizeof(float));
    const std::uint8_t* const bits = in + 2 * sizeof(float);
    for (std::size_t tile = begin; tile < end; tile += kTile) {
      const bool whole = are_whole(sum, tile, tile + kTile, end);
      team.each([&](unsigned thread) {
        const std::size_t first = tile + 4 * thread;
        auto total = load<kEach>(sum, first, kStride, end, whole);
        for (int j = 0; j < kEach; ++j) {
          const std::size_t at = first + j * kStride;
          if (at >= end) break;
          const std::uint32_t signs = std::uint32_t{bits[(at - begin) / 8]} >> ((at - begin) % 8);
          for (int c = 0; c < 4; ++c)
            total.quad[j].at[c] = total.quad[j].at[c] + ((signs >> c & 1U) != 0 ? above : below);
        }
        store(sum, total, first, kStride, end, whole);
      });
    }
  }
};

}  // namespace gossamer::cuda
