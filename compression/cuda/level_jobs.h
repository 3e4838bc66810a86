#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// int8 and QSGD have a warp for each block of 512 values: of lane l the quads at 4 l, 128 + 4 l, ...
inline constexpr std::size_t kLevelBlock = kChunk;
inline constexpr std::size_t kWarpStride = 4 * kWarp;
inline constexpr int kWarpQuads = static_cast<int>(kLevelBlock / kWarpStride);

// The random bits of a lane's quads.
struct WarpRandom {
  RandomWords words[2];

  GOSSAMER_DEVICE WarpRandom(std::uint64_t key, std::uint64_t block, unsigned lane)
      : words{random_words(key, block * kChunkCounters + lane),
              random_words(key, block * kChunkCounters + kWarp + lane)} {}
  GOSSAMER_DEVICE std::int32_t bits(int quad, int c) const {
    return random_bits(words[quad % 2], static_cast<unsigned>(quad / 2), static_cast<unsigned>(c));
  }
};

template <bool stochastic>
struct EncodeInt8 {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kWarp;

  const float* values;
  float* residual;
  std::uint64_t key;
  std::uint8_t* payload;
  std::size_t n;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, kLevelBlock); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t block, Shared&) const {
    const std::size_t begin = block * kLevelBlock, end = begin + kLevelBlock;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    typename Team::template PerThread<Quads<kWarpQuads>> x;
    const std::uint32_t largest = team.largest([&](unsigned lane) {
      x[lane] = load_sums<kWarpQuads>(values, residual, begin + 4 * lane, kWarpStride, n, whole);
      return largest_magnitude_of(x[lane]);
    });
    if (largest >= kInfinityBits) {
      refuse(refused);
      return;
    }
    const Unit step = int8_unit(float_of(largest));
    std::uint8_t* const out = payload + block * (sizeof(float) + kLevelBlock);
    team.each([&](unsigned lane) {
      if (lane == 0) store_float(out, step.unit);
      if constexpr (stochastic) {
        const WarpRandom random(key, block, lane);
        quantize(x[lane], step, out, begin, lane, [&](int j, int c) { return random.bits(j, c); });
      } else {
        quantize(x[lane], step, out, begin, lane, [](int, int) { return 0; });
      }
      if (residual != nullptr) store(residual, x[lane], begin + 4 * lane, kWarpStride, n, whole);
    });
  }

 private:
  // Leaves in x what is not sent.
  template <class Random>
  GOSSAMER_DEVICE void quantize(Quads<kWarpQuads>& x, Unit step, std::uint8_t* out, std::size_t begin,
                                unsigned lane, const Random& random) const {
    for (int j = 0; j < kWarpQuads; ++j) {
      std::uint32_t packed = 0;
      for (int c = 0; c < 4; ++c) {
        float& value = x.quad[j].at[c];
        const std::int32_t steps = int8_steps<stochastic>(value, step.inverse, random(j, c));
        value = value - static_cast<float>(steps) * step.unit;
        packed |= (static_cast<std::uint32_t>(steps) & 0xFFU) << (8 * c);
      }
      const std::size_t at = j * kWarpStride + 4 * lane;
      store_bytes(out + sizeof(float) + at, packed, left_of(n, begin + at));
    }
  }
};

struct AddInt8 {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kWarp;

  const std::uint8_t* payload;
  float weight;
  float* sum;
  std::size_t n;

  std::size_t teams() const { return parts_of(n, kLevelBlock); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t block, Shared&) const {
    const std::size_t begin = block * kLevelBlock;
    const bool whole = are_whole(sum, begin, begin + kLevelBlock, n);
    const std::uint8_t* const in = payload + block * (sizeof(float) + kLevelBlock);
    const float step = load_float(in);
    team.each([&](unsigned lane) {
      auto total = load<kWarpQuads>(sum, begin + 4 * lane, kWarpStride, n, whole);
      for (int j = 0; j < kWarpQuads; ++j) {
        const std::size_t at = j * kWarpStride + 4 * lane;
        const std::uint32_t packed = load_bytes(in + sizeof(float) + at, left_of(n, begin + at));
        for (int c = 0; c < 4; ++c) {
          const auto steps = static_cast<std::int8_t>(packed >> (8 * c) & 0xFFU);
          total.quad[j].at[c] = plus(total.quad[j].at[c], weight, static_cast<float>(steps) * step);
        }
      }
      store(sum, total, begin + 4 * lane, kWarpStride, n, whole);
    });
  }
};

// Where the codes of a bucket of `length` values lie: byte k has those numbered k, k + stride(), ...
template <int bits>
struct QsgdPlan {
  static constexpr std::size_t kAByte = 8 / bits;
  static constexpr std::size_t kBucketBytes = sizeof(float) + kLevelBlock / kAByte;
  GOSSAMER_DEVICE static std::size_t stride(std::size_t length) { return (length + kAByte - 1) / kAByte; }
  // Of a whole bucket the quads that share a word with quad j, and what they have of it.
  static constexpr int kWords = kWarpQuads / static_cast<int>(kAByte);
};

template <bool euclidean>
struct QsgdShared {};
template <>
struct QsgdShared<true> {
  float squares[kLevelBlock];
  float lanes[16];
  double total;
};

template <int bits, bool euclidean>
struct EncodeQsgd {
  using Shared = QsgdShared<euclidean>;
  using Plan = QsgdPlan<bits>;
  static constexpr unsigned kThreads = kWarp;

  const float* values;
  float* residual;
  std::uint64_t key;
  std::uint8_t* payload;
  std::size_t n;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, kLevelBlock); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t bucket, Shared& shared) const {
    const std::size_t begin = bucket * kLevelBlock, end = begin + kLevelBlock;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    typename Team::template PerThread<Quads<kWarpQuads>> x;
    const std::uint32_t magnitude = team.largest([&](unsigned lane) {
      x[lane] = load_sums<kWarpQuads>(values, residual, begin + 4 * lane, kWarpStride, n, whole);
      return largest_magnitude_of(x[lane]);
    });
    if (magnitude >= kInfinityBits) {
      refuse(refused);
      return;
    }
    const float largest = float_of(magnitude);
    double squares = 0;
    if constexpr (euclidean) squares = sum_of_squares(team, x, largest, shared);
    const Unit unit = qsgd_unit<bits>(largest, euclidean, squares);
    std::uint8_t* const out = payload + bucket * Plan::kBucketBytes;
    if (end > n) {
      write_short(team, bucket, unit, out);
      return;
    }
    team.each([&](unsigned lane) {
      const WarpRandom random(key, bucket, lane);
      if (lane == 0) store_float(out, unit.unit);
      std::uint32_t packed[Plan::kWords] = {};
      for (int j = 0; j < kWarpQuads; ++j) {
        for (int c = 0; c < 4; ++c) {
          float& value = x[lane].quad[j].at[c];
          const std::uint32_t code = qsgd_code<bits>(value, unit.inverse, random.bits(j, c));
          value = value - qsgd_sent<bits>(value, code, unit.unit);
          packed[j % Plan::kWords] |= code << (8 * c + j / Plan::kWords * bits);
        }
      }
      for (int word = 0; word < Plan::kWords; ++word)
        store_bytes(out + sizeof(float) + word * kWarpStride + 4 * lane, packed[word], 4);
      if (residual != nullptr) store(residual, x[lane], begin + 4 * lane, kWarpStride, n, whole);
    });
  }

 private:
  // In multiples of the largest, which cannot overflow; in 16 lanes, each in order, and then these in order.
  template <class Team, class Own>
  GOSSAMER_DEVICE static double sum_of_squares(Team& team, Own& x, float largest, Shared& shared) {
    if (largest < kLeastScale) return 0;
    const float inverse = 1 / largest;
    team.each([&](unsigned lane) {
      for (int j = 0; j < kWarpQuads; ++j) {
        for (int c = 0; c < 4; ++c) {
          const float share = x[lane].quad[j].at[c] * inverse;
          shared.squares[j * kWarpStride + 4 * lane + c] = share * share;
        }
      }
    });
    team.each([&](unsigned lane) {
      if (lane >= 16) return;
      float sum = 0;
      for (std::size_t i = lane; i < kLevelBlock; i += 16) sum = sum + shared.squares[i];
      shared.lanes[lane] = sum;
    });
    team.each([&](unsigned lane) {
      if (lane != 0) return;
      double total = 0;
      for (int i = 0; i < 16; ++i) total += static_cast<double>(shared.lanes[i]);
      shared.total = total;
    });
    return shared.total;
  }

  // The last bucket, whose codes lie differently: a byte at a time, all of whose codes are one lane's.
  template <class Team>
  GOSSAMER_DEVICE void write_short(Team& team, std::size_t bucket, Unit unit, std::uint8_t* out) const {
    const std::size_t begin = bucket * kLevelBlock, length = n - begin, stride = Plan::stride(length);
    team.each([&](unsigned lane) {
      if (lane == 0) store_float(out, unit.unit);
      for (std::size_t k = lane; k < stride; k += kWarp) {
        std::uint32_t byte = 0;
        for (std::size_t j = 0, at = k; at < length; ++j, at += stride) {
          float x = values[begin + at];
          if (residual != nullptr) x = x + residual[begin + at];
          const std::uint32_t code = qsgd_code<bits>(x, unit.inverse, random_bits_at(key, bucket, at));
          if (residual != nullptr) residual[begin + at] = x - qsgd_sent<bits>(x, code, unit.unit);
          byte |= code << (j * bits);
        }
        out[sizeof(float) + k] = static_cast<std::uint8_t>(byte);
      }
    });
  }
};

template <int bits>
struct AddQsgd {
  using Shared = NothingShared;
  using Plan = QsgdPlan<bits>;
  static constexpr unsigned kThreads = kWarp;

  const std::uint8_t* payload;
  float weight;
  float* sum;
  std::size_t n;

  std::size_t teams() const { return parts_of(n, kLevelBlock); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t bucket, Shared&) const {
    const std::size_t begin = bucket * kLevelBlock, end = begin + kLevelBlock;
    const bool whole = are_whole(sum, begin, end, n);
    const std::uint8_t* const in = payload + bucket * Plan::kBucketBytes;
    const float unit = load_float(in);
    const std::uint8_t* const codes = in + sizeof(float);
    team.each([&](unsigned lane) {
      if (end > n) {
        add_short(codes, unit, begin, lane);
        return;
      }
      auto total = load<kWarpQuads>(sum, begin + 4 * lane, kWarpStride, n, whole);
      std::uint32_t packed[Plan::kWords];
      for (int word = 0; word < Plan::kWords; ++word)
        packed[word] = load_bytes(codes + word * kWarpStride + 4 * lane, 4);
      for (int j = 0; j < kWarpQuads; ++j) {
        for (int c = 0; c < 4; ++c) {
          const std::uint32_t code = packed[j % Plan::kWords] >> (8 * c + j / Plan::kWords * bits);
          total.quad[j].at[c] = plus(total.quad[j].at[c], weight, qsgd_value<bits>(code, unit));
        }
      }
      store(sum, total, begin + 4 * lane, kWarpStride, n, whole);
    });
  }

 private:
  GOSSAMER_DEVICE void add_short(const std::uint8_t* codes, float unit, std::size_t begin,
                                 unsigned lane) const {
    const std::size_t length = n - begin, stride = Plan::stride(length);
    for (std::size_t at = lane; at < length; at += kWarp) {
      const std::uint32_t code = std::uint32_t{codes[at % stride]} >> (at / stride * bits);
      sum[begin + at] = plus(sum[begin + at], weight, qsgd_value<bits>(code, unit));
    }
  }
};

}  // namespace gossamer::cuda
