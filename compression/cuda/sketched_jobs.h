// sketched: a team has a block of 4,096 values in shared memory, where it is rotated.
#pragma once

#include "compression/cuda/memory.h"
#include "compression/random_subset.h"
#include "compression/sketch.h"

namespace gossamer::cuda {

inline constexpr unsigned kSketchThreads = 256;
inline constexpr int kSketchQuads = 4;  // of a thread
inline constexpr std::size_t kSketchStride = std::size_t{4} * kSketchThreads;
static_assert(kSketchQuads * kSketchStride == kMostRotation);

// A block while it is rotated.
struct RotationRoom {
  static constexpr unsigned kWords = kMostRotation / 16;

  // A float is left out behind every 32, so that threads do not wait for one another's.
  float floats[kMostRotation + kMostRotation / 32];
  std::uint16_t signs[kWords];

  GOSSAMER_DEVICE float& at(std::size_t i) { return floats[i + i / 32]; }
  // Of value i, where a block's factor is `size`.
  GOSSAMER_DEVICE float factor(std::size_t i, float size) const {
    return (signs[i / 16] >> (i % 16) & 1U) != 0 ? -size : size;
  }
  GOSSAMER_DEVICE static float size(std::size_t length) { return 1 / sqrtf(static_cast<float>(length)); }

  template <class Team>
  GOSSAMER_DEVICE void draw_signs(Team& team, std::uint64_t key, std::uint64_t block) {
    team.each([&](unsigned thread) {
      if (thread >= kWords / 4) return;
      const RandomWords random = random_words(key, (kFirstSigns + block) * kChunkCounters + thread);
      for (unsigned c = 0; c < 4; ++c)
        signs[4 * thread + c] = static_cast<std::uint16_t>(random_bits(random, 0, c));
    });
  }

  // The Hadamard transform without its factor: sums and differences of floats 1, 2, 4, ... apart.
  template <class Team>
  GOSSAMER_DEVICE void transform(Team& team, std::size_t length) {
    constexpr unsigned kRadix = 16, kApart = kRadix * kRadix;
    static_assert(kApart == kLeastRotation && kApart * kRadix == kMostRotation);
    transform_apart<kRadix, 1>(team, length);
    transform_apart<kRadix, kRadix>(team, length);
    if (length == 2 * kApart) transform_apart<2, kApart>(team, length);
    if (length == 4 * kApart) transform_apart<4, kApart>(team, length);
    if (length == 8 * kApart) transform_apart<8, kApart>(team, length);
    if (length == 16 * kApart) transform_apart<16, kApart>(team, length);
  }

 private:
  // Those `distance` ... radix / 2 `distance` apart, in a thread's registers. There are as many threads.
  template <unsigned radix, unsigned distance, class Team>
  GOSSAMER_DEVICE void transform_apart(Team& team, std::size_t length) {
    team.each([&](unsigned thread) {
      if (thread >= length / radix) return;
      const std::size_t first = thread / distance * distance * radix + thread % distance;
      float x[radix];
      for (unsigned r = 0; r < radix; ++r) x[r] = at(first + r * distance);
      for (unsigned half = 1; half < radix; half *= 2) {
        for (unsigned r = 0; r < radix; ++r) {
          if ((r & half) != 0) continue;
          const float a = x[r], b = x[r + half];
          x[r] = a + b;
          x[r + half] = a - b;
        }
      }
      for (unsigned r = 0; r < radix; ++r) at(first + r * distance) = x[r];
    });
  }
};

// Where the blocks lie: of n values those at the first `kept` places of a permutation, in its order, unless
// all are sent.
struct SketchLayout {
  std::size_t n, kept;
  int bits;

  GOSSAMER_DEVICE bool chooses() const { return kept < n; }
  std::size_t blocks() const { return parts_of(kept, kMostRotation); }
  GOSSAMER_DEVICE static std::size_t begin(std::size_t block) { return block * kMostRotation; }
  GOSSAMER_DEVICE std::size_t end(std::size_t block) const {
    return smaller(kept, begin(block) + kMostRotation);
  }
  // As it is padded.
  GOSSAMER_DEVICE std::size_t length(std::size_t block) const {
    return sketch_length(end(block) - begin(block));
  }
  // Behind the key.
  GOSSAMER_DEVICE std::size_t offset(std::size_t block) const {
    return sizeof(std::uint64_t) + block * sketch_bytes(kMostRotation, bits);
  }
  // Byte k of a block's codes has those numbered k, k + stride, ...
  GOSSAMER_DEVICE std::size_t stride(std::size_t length) const {
    return length * static_cast<std::size_t>(bits) / 8;
  }

  // A thread's values, with zeros behind the block's.
  GOSSAMER_DEVICE Quads<kSketchQuads> gather(const float* from, std::uint64_t key, std::size_t block,
                                             unsigned thread) const {
    const Permutation place(n, key);
    Quads<kSketchQuads> x;
    for (int j = 0; j < kSketchQuads; ++j) {
      for (int c = 0; c < 4; ++c) {
        const std::size_t i = begin(block) + j * kSketchStride + 4 * thread + c;
        x.quad[j].at[c] = i < end(block) ? from[place(i)] : 0;
      }
    }
    return x;
  }
  GOSSAMER_DEVICE void scatter(float* to, const Quads<kSketchQuads>& x, std::uint64_t key, std::size_t block,
                               unsigned thread) const {
    const Permutation place(n, key);
    for (int j = 0; j < kSketchQuads; ++j) {
      for (int c = 0; c < 4; ++c) {
        const std::size_t i = begin(block) + j * kSketchStride + 4 * thread + c;
        if (i < end(block)) to[place(i)] = x.quad[j].at[c];
      }
    }
  }
};

// The levels of a block.
struct SketchLevels {
  float low, step;

  GOSSAMER_DEVICE float value(std::uint32_t level) const {
    return static_cast<float>(static_cast<std::int32_t>(level)) * step + low;
  }
};

// Behind AddResidual, where not all are sent.
struct EncodeSketched {
  static constexpr unsigned kThreads = kSketchThreads;
  static constexpr unsigned kLanes = 16;
  struct Shared {
    RotationRoom room;
    alignas(4) std::uint8_t codes[kMostRotation];
    float lanes[2][kLanes];  // of the squares, and of the variances
    float multiple;
  };

  const float* values;
  float* residual;
  SketchLayout layout;
  bool rotated, shrunk;
  float scale;
  std::uint64_t key;
  std::uint8_t* payload;
  std::uint32_t* refused;

  std::size_t teams() const { return layout.blocks(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t block, Shared& shared) const {
    const std::size_t begin = layout.begin(block), end = layout.end(block), length = layout.length(block);
    const std::size_t full = begin + kMostRotation;
    const bool whole = are_whole(values, begin, full, end) && are_whole(residual, begin, full, end);
    const float size = RotationRoom::size(length);
    RotationRoom& room = shared.room;
    if (rotated) room.draw_signs(team, key, block);
    typename Team::template PerThread<Quads<kSketchQuads>> own;
    const std::uint32_t largest = team.largest([&](unsigned thread) {
      Quads<kSketchQuads>& x = own[thread];
      const std::size_t first = begin + 4 * thread;
      x = layout.chooses() ? layout.gather(residual != nullptr ? residual : values, key, block, thread)
                           : load_sums<kSketchQuads>(values, residual, first, kSketchStride, end, whole);
      each_of(thread, length, [&](int j, int c, std::size_t i) {
        const float scaled = larger(smaller(x.quad[j].at[c] * scale, kMostSketched), -kMostSketched);
        room.at(i) = rotated ? scaled * room.factor(i, size) : scaled;
      });
      return largest_magnitude_of(x);
    });
    if (largest >= kInfinityBits) {
      refuse(refused);
      return;
    }
    if (rotated) room.transform(team, length);

    const float high = float_of(bits_in_order(team.largest([&](unsigned thread) {
      std::uint32_t found = 0;
      for (std::size_t i = thread; i < length; i += kThreads) found = larger(found, order_of(room.at(i)));
      return found;
    })));
    // A zero has no sign, as on the processor.
    const float low = 0.0F + float_of(bits_in_order(~team.largest([&](unsigned thread) {
                        std::uint32_t found = 0;
                        for (std::size_t i = thread; i < length; i += kThreads)
                          found = larger(found, ~order_of(room.at(i)));
                        return found;
                      })));
    const auto most = static_cast<std::int32_t>((1U << layout.bits) - 1);
    const float range = high - low, levels = static_cast<float>(most);
    const bool vanishes = range < kLeastRange;
    const float step = vanishes ? 0 : range / levels, inverse = vanishes ? 0 : levels / range;
    float multiple = 1;
    if (shrunk && step != 0) multiple = best_multiple(team, length, low, high, step, shared);
    const SketchLevels sent{low * multiple, step * multiple};

    std::uint8_t* const out = payload + layout.offset(block);
    team.each([&](unsigned thread) {
      if (thread == 0) {
        if (block == 0) store_eight(payload, key, sizeof key);
        store_float(out, sent.low);
        store_float(out + sizeof(float), sent.step);
      }
      // A counter has random bits for two quads, half a chunk apart.
      for (std::size_t task = thread; task < larger(length, kChunk) / 8; task += kThreads) {
        const std::size_t chunk = task / kChunkCounters, counter = task % kChunkCounters;
        const std::uint64_t first = block * (kMostRotation / kChunk) * kChunkCounters;
        const RandomWords random = random_words(key, first + task);
        for (unsigned half = 0; half < 2; ++half) {
          const std::size_t i = chunk * kChunk + half * (kChunk / 2) + 4 * counter;
          if (i >= length) break;
          std::uint32_t packed = 0;
          for (unsigned c = 0; c < 4; ++c) {
            float& x = room.at(i + c);
            std::int32_t level = 0;
            if (!vanishes)
              level = smaller(round_at_random((x - low) * inverse, random_bits(random, half, c)), most);
            packed |= static_cast<std::uint32_t>(level) << (8 * c);
            x = sent.value(static_cast<std::uint32_t>(level));
          }
          store_bytes(shared.codes + i, packed, 4);
        }
      }
    });
    team.each([&](unsigned thread) {
      const std::size_t stride = layout.stride(length);
      for (std::size_t k = 4 * thread; k < stride; k += 4 * kThreads) {
        std::uint32_t packed = 0;
        for (int j = 0; j < 8 / layout.bits; ++j)
          packed |= load_bytes(shared.codes + j * stride + k, 4) << (j * layout.bits);
        store_bytes(out + 2 * sizeof(float) + k, packed, 4);
      }
    });
    if (residual == nullptr) return;
    if (rotated) room.transform(team, length);
    team.each([&](unsigned thread) {
      Quads<kSketchQuads>& x = own[thread];
      each_of(thread, length, [&](int j, int c, std::size_t i) {
        const float decoded = rotated ? room.at(i) * room.factor(i, size) : room.at(i);
        x.quad[j].at[c] = plus(x.quad[j].at[c], -1, decoded);
      });
      if (layout.chooses()) {
        layout.scatter(residual, x, key, block, thread);
      } else {
        store(residual, x, begin + 4 * thread, kSketchStride, end, whole);
      }
    });
  }

  // visit(quad, place in it, place in the block) of a thread's values of a block of this length.
  template <class Visit>
  GOSSAMER_DEVICE static void each_of(unsigned thread, std::size_t length, const Visit& visit) {
    for (int j = 0; j < kSketchQuads; ++j) {
      const std::size_t first = j * kSketchStride + 4 * thread;
      if (first >= length) return;
      for (int c = 0; c < 4; ++c) visit(j, c, first + c);
    }
  }

 private:
  // Numbers in the order of the floats, for the largest of them; 0 is no float's that is finite.
  GOSSAMER_DEVICE static std::uint32_t order_of(float x) {
    const std::uint32_t bits = bits_of(x);
    return (bits >> 31U) != 0 ? ~bits : bits | 0x80000000U;
  }
  GOSSAMER_DEVICE static std::uint32_t bits_in_order(std::uint32_t order) {
    return (order >> 31U) != 0 ? order & 0x7FFFFFFFU : ~order;
  }

  // As in sketched.cpp, in 16 lanes, each in order.
  template <class Team>
  GOSSAMER_DEVICE static float best_multiple(Team& team, std::size_t length, float low, float high,
                                             float step, Shared& shared) {
    const float largest = larger(magnitude_of(low), magnitude_of(high));
    const float unit = 1 / largest, inverse = 1 / step;
    team.each([&](unsigned thread) {
      if (thread >= 2 * kLanes) return;
      const bool squared = thread < kLanes;
      float sum = 0;
      GOSSAMER_UNROLL_16
      for (std::size_t i = thread % kLanes; i < length; i += kLanes) {
        const float x = shared.room.at(i), share = x * unit, level = (x - low) * inverse;
        const float above = level - floorf(level);
        sum = sum + (squared ? share * share : above * (1.0F - above));
      }
      shared.lanes[thread / kLanes][thread % kLanes] = sum;
    });
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      double totals[2] = {0, 0};
      for (int which = 0; which < 2; ++which) {
        for (unsigned lane = 0; lane < kLanes; ++lane)
          totals[which] += static_cast<double>(shared.lanes[which][lane]);
      }
      const double size = static_cast<double>(step) / static_cast<double>(largest);
      shared.multiple = static_cast<float>(totals[0] / (totals[0] + size * size * totals[1]));
    });
    return shared.multiple;
  }
};

struct AddSketched {
  using Shared = RotationRoom;
  static constexpr unsigned kThreads = kSketchThreads;

  const std::uint8_t* payload;
  SketchLayout layout;
  bool rotated;
  float weight;
  float* sum;

  std::size_t teams() const { return layout.blocks(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t block, Shared& room) const {
    const std::size_t begin = layout.begin(block), end = layout.end(block), length = layout.length(block);
    const bool whole = are_whole(sum, begin, begin + kMostRotation, end);
    const float size = RotationRoom::size(length);
    const std::uint64_t key = load_eight(payload, sizeof key);
    const std::uint8_t* const in = payload + layout.offset(block);
    const SketchLevels levels{load_float(in), load_float(in + sizeof(float))};
    if (rotated) room.draw_signs(team, key, block);
    team.each([&](unsigned thread) {
      const std::size_t stride = layout.stride(length);  // a power of two
      const std::uint32_t mask = (1U << layout.bits) - 1;
      for (std::size_t i = 4 * thread; i < length; i += kSketchStride) {
        const std::uint32_t packed = load_bytes(in + 2 * sizeof(float) + (i & (stride - 1)), 4);
        const auto shift = static_cast<unsigned>(i / stride) * static_cast<unsigned>(layout.bits);
        for (unsigned c = 0; c < 4; ++c) room.at(i + c) = levels.value(packed >> (8 * c + shift) & mask);
      }
    });
    if (rotated) room.transform(team, length);
    team.each([&](unsigned thread) {
      const std::size_t first = begin + 4 * thread;
      auto total = layout.chooses() ? layout.gather(sum, key, block, thread)
                                    : load<kSketchQuads>(sum, first, kSketchStride, end, whole);
      EncodeSketched::each_of(thread, length, [&](int j, int c, std::size_t i) {
        const float decoded = rotated ? room.at(i) * room.factor(i, size) : room.at(i);
        total.quad[j].at[c] = plus(total.quad[j].at[c], weight, decoded);
      });
      if (layout.chooses()) {
        layout.scatter(sum, total, key, block, thread);
      } else {
        store(sum, total, first, kSketchStride, end, whole);
      }
    });
  }
};

}  // namespace gossamer::cuda
