// The kernels for CUDA, up to what is CUDA's. A job is what one launch does: plain data, and run(), which one
// team of kThreads threads executes for each of teams() parts of a vector. Team is one of the GPU's
// (kernels.cu) or one of loops in the place of threads, with which tests run the very same code where there
// is no GPU:
//
//   team.each(f)       f(thread) on every thread, then a barrier
//   team.largest(f)    the same, and the largest of what f returned, to all
//   PerThread<T>       a T of each thread's own, [thread], from one of these calls to the next
//
// Between the calls all threads do the same, on the same data. Within one call no thread may rely on another.
// kTeamsAtOnce, where a job has it: how many teams a processor of the GPU should have registers for.
//
// All jobs: `n` floats; pointers are to the device's memory, payloads aligned to 16 bytes, floats as they
// come (faster where to 16 bytes). `residual` may be null. `refused` becomes 1 where a value, or one plus its
// residual, is NaN or infinite; payload and residual are then of no use.
#pragma once

#include "compression/cuda/arithmetic.h"

namespace gossamer::cuda {

struct NothingShared {};

// Four values side by side, the unit of access to memory.
struct alignas(16) Quad {
  float at[4];
};

template <int count>
struct Quads {
  Quad quad[count];
};

GOSSAMER_DEVICE inline bool is_aligned(const void* p, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0;
}

GOSSAMER_DEVICE inline Quad load_aligned(const float* p) {
#ifdef __CUDA_ARCH__
  const float4 q = *reinterpret_cast<const float4*>(p);
  return {{q.x, q.y, q.z, q.w}};
#else
  Quad q;
  memcpy(&q, p, sizeof q);
  return q;
#endif
}

GOSSAMER_DEVICE inline void store_aligned(float* p, const Quad& q) {
#ifdef __CUDA_ARCH__
  *reinterpret_cast<float4*>(p) = make_float4(q.at[0], q.at[1], q.at[2], q.at[3]);
#else
  memcpy(p, &q, sizeof q);
#endif
}

// `count` quads that lie `stride` floats apart, from float `first` of n on; zeros behind the n-th. `whole`:
// all are there, and aligned.
template <int count>
GOSSAMER_DEVICE inline Quads<count> load(const float* p, std::size_t first, std::size_t stride, std::size_t n,
                                         bool whole) {
  Quads<count> quads;
  if (whole) {
    for (int j = 0; j < count; ++j) quads.quad[j] = load_aligned(p + first + j * stride);
    return quads;
  }
  for (int j = 0; j < count; ++j) {
    for (int c = 0; c < 4; ++c) {
      const std::size_t i = first + j * stride + c;
      quads.quad[j].at[c] = i < n ? p[i] : 0;
    }
  }
  return quads;
}

// The same of values + residual.
template <int count>
GOSSAMER_DEVICE inline Quads<count> load_sums(const float* values, const float* residual, std::size_t first,
                                              std::size_t stride, std::size_t n, bool whole) {
  Quads<count> quads = load<count>(values, first, stride, n, whole);
  if (residual == nullptr) return quads;
  const Quads<count> more = load<count>(residual, first, stride, n, whole);
  for (int j = 0; j < count; ++j) {
    for (int c = 0; c < 4; ++c) quads.quad[j].at[c] = quads.quad[j].at[c] + more.quad[j].at[c];
  }
  return quads;
}

template <int count>
GOSSAMER_DEVICE inline void store(float* p, const Quads<count>& quads, std::size_t first, std::size_t stride,
                                  std::size_t n, bool whole) {
  if (whole) {
    for (int j = 0; j < count; ++j) store_aligned(p + first + j * stride, quads.quad[j]);
    return;
  }
  for (int j = 0; j < count; ++j) {
    for (int c = 0; c < 4; ++c) {
      const std::size_t i = first + j * stride + c;
      if (i < n) p[i] = quads.quad[j].at[c];
    }
  }
}

// Whether the floats begin .. end - 1 are all below n and may be read as quads.
GOSSAMER_DEVICE inline bool are_whole(const float* p, std::size_t begin, std::size_t end, std::size_t n) {
  return end <= n && (p == nullptr || is_aligned(p + begin, sizeof(Quad)));
}

template <int count>
GOSSAMER_DEVICE inline std::uint32_t largest_magnitude_of(const Quads<count>& quads) {
  std::uint32_t largest = 0;
  for (int j = 0; j < count; ++j) {
    for (int c = 0; c < 4; ++c) largest = larger(largest, magnitude_bits(quads.quad[j].at[c]));
  }
  return largest;
}

// The first `count` (at most 4) bytes of a word, the lowest first.
GOSSAMER_DEVICE inline void store_bytes(std::uint8_t* p, std::uint32_t word, std::size_t count) {
#ifdef __CUDA_ARCH__
  if (count >= 4 && is_aligned(p, sizeof word)) {
    *reinterpret_cast<std::uint32_t*>(p) = word;
    return;
  }
#endif
  for (std::size_t k = 0; k < 4 && k < count; ++k) p[k] = static_cast<std::uint8_t>(word >> (8 * k));
}

// Zeros in the place of bytes from `count` on.
GOSSAMER_DEVICE inline std::uint32_t load_bytes(const std::uint8_t* p, std::size_t count) {
#ifdef __CUDA_ARCH__
  if (count >= 4 && is_aligned(p, sizeof(std::uint32_t))) return *reinterpret_cast<const std::uint32_t*>(p);
#endif
  std::uint32_t word = 0;
  for (std::size_t k = 0; k < 4 && k < count; ++k) word |= std::uint32_t{p[k]} << (8 * k);
  return word;
}

GOSSAMER_DEVICE inline void store_float(std::uint8_t* p, float x) { store_bytes(p, bits_of(x), sizeof x); }
GOSSAMER_DEVICE inline float load_float(const std::uint8_t* p) { return float_of(load_bytes(p, 4)); }

GOSSAMER_DEVICE inline std::size_t left_of(std::size_t n, std::size_t begin) {
  return begin < n ? n - begin : 0;
}

GOSSAMER_DEVICE inline void refuse(std::uint32_t* refused) {
#ifdef __CUDA_ARCH__
  atomicExch(refused, 1U);
#else
  *refused = 1;
#endif
}

constexpr std::size_t parts_of(std::size_t n, std::size_t part) { return (n + part - 1) / part; }

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
        std::uint32_t halves[4];
        for (int c = 0; c < 4; ++c) {
          float& value = x.quad[j].at[c];
          halves[c] = Format::encode(value);
          value = value - Format::decode(halves[c]);
        }
        const std::size_t at = first + j * kStride;
        const std::size_t left = 2 * left_of(n, at);
        store_pair(payload + 2 * at, halves[0] | halves[1] << 16U, halves[2] | halves[3] << 16U, left);
      }
      if (residual != nullptr) store(residual, x, first, kStride, n, whole);
    });
  }

 private:
  // Of eight bytes the first `count`.
  GOSSAMER_DEVICE static void store_pair(std::uint8_t* p, std::uint32_t low, std::uint32_t high,
                                         std::size_t count) {
#ifdef __CUDA_ARCH__
    if (count >= 8) {
      *reinterpret_cast<uint2*>(p) = make_uint2(low, high);
      return;
    }
#endif
    store_bytes(p, low, count);
    store_bytes(p + 4, high, left_of(count, 4));
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
        const std::uint32_t low = load_bytes(payload + 2 * at, left),
                            high = load_bytes(payload + 2 * at + 4, left_of(left, 4));
        for (int c = 0; c < 4; ++c) {
          const std::uint32_t half = (c < 2 ? low : high) >> (16 * (c % 2)) & 0xFFFFU;
          total.quad[j].at[c] = plus(total.quad[j].at[c], weight, Format::decode(half));
        }
      }
      store(sum, total, first, kStride, n, whole);
    });
  }
};

// int8 and QSGD have a warp for each block of 512 values: of lane l the quads at 4 l, 128 + 4 l, ...
inline constexpr unsigned kWarp = 32;
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
          std::uint32_t signs = 0;
          for (unsigned c = 0; c < 4; ++c) signs |= (x.quad[j].at[c] >= 0 ? 1U : 0U) << c;
          const std::size_t number = round / 4 + j * kThreads + thread;
          shared.x[number] = x.quad[j];
          shared.nibbles[number] = static_cast<std::uint8_t>(signs);
        }
        if (residual != nullptr && is_one_of_many) store(residual, x, first, kStride, end, whole);
      }
    });
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
