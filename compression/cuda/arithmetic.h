// The arithmetic of the methods, one element at a time: what a CUDA thread does with a value. The same bits
// as the kernels for the processor (compression/lanes-inl.h) as long as the compiler fuses and reorders
// nothing. Plain C++ for any other compiler, so that tests hold it to those kernels where there is no GPU.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define GOSSAMER_DEVICE __device__
#define GOSSAMER_UNROLL_16 _Pragma("unroll 16")
#define GOSSAMER_UNROLL_1 _Pragma("unroll 1")
#else
#define GOSSAMER_DEVICE
#define GOSSAMER_UNROLL_16
#define GOSSAMER_UNROLL_1
#endif

namespace gossamer::cuda {

inline constexpr std::uint32_t kInfinityBits = 0x7F800000U;
inline constexpr float kLargestFloat = 0x1.FFFFFEp127F;
inline constexpr float kLeastScale = 0x1p-100F;  // below it a block counts as zeros: 1 / step would overflow

GOSSAMER_DEVICE inline std::uint32_t bits_of(float x) {
  std::uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

GOSSAMER_DEVICE inline float float_of(std::uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

GOSSAMER_DEVICE inline std::uint32_t magnitude_bits(float x) { return bits_of(x) & 0x7FFFFFFFU; }
GOSSAMER_DEVICE inline float magnitude_of(float x) { return float_of(magnitude_bits(x)); }
GOSSAMER_DEVICE inline bool is_finite(double x) { return x - x == 0; }

template <class T>
GOSSAMER_DEVICE inline T smaller(T a, T b) {
  return b < a ? b : a;
}
template <class T>
GOSSAMER_DEVICE inline T larger(T a, T b) {
  return a < b ? b : a;
}

// sum + weight * value, rounded twice.
GOSSAMER_DEVICE inline float plus(float sum, float weight, float value) { return sum + weight * value; }

// 16-bit floats (half.cpp).
struct Fp16 {
  GOSSAMER_DEVICE static std::uint32_t encode(float x) {
    const std::uint32_t sign = (bits_of(x) & 0x80000000U) >> 16U;
    const std::uint32_t magnitude = smaller(magnitude_bits(x), 0x477FE000U);  // 65504
    // Below 2^-14 there are steps of 2^-24 only, and adding 0.5 rounds to them.
    if (magnitude < 0x38800000U) return sign | (bits_of(float_of(magnitude) + 0.5F) - bits_of(0.5F));
    const std::uint32_t odd = magnitude >> 13U & 1U;
    return sign | (magnitude + 0xC8000FFFU + odd) >> 13U;  // less 112 << 23
  }
  GOSSAMER_DEVICE static float decode(std::uint32_t half) {
    const std::uint32_t sign = (half & 0x8000U) << 16U;
    const std::uint32_t magnitude = (half & 0x7FFFU) << 13U;
    constexpr std::uint32_t kLeastNormal = 113U << 23U;  // 2^-14
    const std::uint32_t value = magnitude < (0x400U << 13U)
                                    ? bits_of(float_of(magnitude + kLeastNormal) - float_of(kLeastNormal))
                                    : magnitude + (112U << 23U);
    return float_of(sign | value);
  }
};

struct Bf16 {
  GOSSAMER_DEVICE static std::uint32_t encode(float x) {
    const std::uint32_t sign = bits_of(x) & 0x80000000U;
    const std::uint32_t magnitude = smaller(magnitude_bits(x), 0x7F7F0000U);
    const std::uint32_t odd = magnitude >> 16U & 1U;
    return (sign | (magnitude + 0x7FFFU + odd)) >> 16U;
  }
  GOSSAMER_DEVICE static float decode(std::uint32_t half) { return float_of(half << 16U); }
};

// Four words of random bits.
struct RandomWords {
  std::uint32_t at[4];
};

// Philox4x32 of (counter, key).
template <int rounds>
GOSSAMER_DEVICE inline RandomWords philox(RandomWords c, std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < rounds; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53U} * c.at[0], p1 = std::uint64_t{0xCD9E8D57U} * c.at[2];
    c = {{static_cast<std::uint32_t>(p1 >> 32U) ^ c.at[1] ^ k0, static_cast<std::uint32_t>(p1),
          static_cast<std::uint32_t>(p0 >> 32U) ^ c.at[3] ^ k1, static_cast<std::uint32_t>(p0)}};
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return c;
}

// Those of the stream of a message (lanes-inl.h).
GOSSAMER_DEVICE inline RandomWords random_words(std::uint64_t key, std::uint64_t counter) {
  return philox<7>({{static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32U), 0, 0}},
                   static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32U));
}

// The first uniform_float() of Rng(key, Purpose::compression, index) (core/rng.h).
GOSSAMER_DEVICE inline float uniform_of_element(std::uint64_t key, std::uint64_t index) {
  constexpr std::uint32_t kPurpose = 11, kMixed = 0x676f7373U;
  const RandomWords name =
      philox<10>({{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32U), 0, 0}},
                 static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32U));
  const RandomWords mixed = philox<10>(name, kPurpose, kMixed);
  const RandomWords first = philox<10>({{0, 0, mixed.at[2], mixed.at[3]}}, mixed.at[0], mixed.at[1]);
  return static_cast<float>(first.at[0] >> 8U) * 0x1p-24F;
}

// How the words are dealt out (lanes-inl.h): of chunk c of kChunk elements those of counter 64 c + b belong
// to the elements 4 b .. 4 b + 3 (the first two) and 256 + 4 b .. (the others).
inline constexpr std::size_t kChunk = 512;
inline constexpr std::size_t kChunkCounters = kChunk / 8;

// The 16 bits of the element that is number c of four in the first or the second half of a chunk.
GOSSAMER_DEVICE inline std::int32_t random_bits(const RandomWords& words, unsigned half, unsigned c) {
  return static_cast<std::int32_t>(words.at[2 * half + c / 2] >> (16 * (c % 2)) & 0xFFFFU);
}

// Those of any one element of a chunk.
GOSSAMER_DEVICE inline std::int32_t random_bits_at(std::uint64_t key, std::uint64_t chunk, std::size_t at) {
  const std::size_t of_half = at % (kChunk / 2);
  return random_bits(random_words(key, chunk * kChunkCounters + of_half / 4),
                     static_cast<unsigned>(at / (kChunk / 2)), static_cast<unsigned>(of_half % 4));
}

// A magnitude below 2^14, down or up to a whole number.
GOSSAMER_DEVICE inline std::int32_t round_at_random(float magnitude, std::int32_t random) {
  return (static_cast<std::int32_t>(magnitude * 65536.0F) + random) >> 16;
}

// A magnitude below 2^22, to the nearest whole number, ties to even.
GOSSAMER_DEVICE inline std::int32_t round_to_nearest(float magnitude) {
  return static_cast<std::int32_t>(bits_of(magnitude + 0x1p23F) - bits_of(0x1p23F));
}

// What a block's values are multiples of.
struct Unit {
  float unit, inverse;
};

// int8.cpp
GOSSAMER_DEVICE inline Unit int8_unit(float largest) {
  if (largest < kLeastScale) return {0, 0};
  return {largest / 127, 127 / largest};
}

template <bool stochastic>
GOSSAMER_DEVICE inline std::int32_t int8_steps(float x, float inverse, std::int32_t random) {
  const float magnitude = magnitude_of(x) * inverse;
  const std::int32_t steps =
      smaller(stochastic ? round_at_random(magnitude, random) : round_to_nearest(magnitude), 127);
  return x < 0 ? -steps : steps;
}

// qsgd.cpp. `squares` is the sum of those of the bucket's values in multiples of `largest`.
template <int bits>
GOSSAMER_DEVICE inline Unit qsgd_unit(float largest, bool euclidean, double squares) {
  if (largest < kLeastScale) return {0, 0};
  float norm = largest;
  if (euclidean) norm = static_cast<float>(smaller(sqrt(squares) * static_cast<double>(largest), 0x1p126));
  constexpr auto kMost = static_cast<float>((1 << (bits - 1)) - 1);
  return {norm / kMost, kMost / norm};
}

template <int bits>
GOSSAMER_DEVICE inline std::uint32_t qsgd_code(float x, float inverse, std::int32_t random) {
  const std::int32_t level =
      smaller(round_at_random(magnitude_of(x) * inverse, random), (1 << (bits - 1)) - 1);
  const bool negative = x < 0 && level > 0;  // zero has no sign
  return static_cast<std::uint32_t>(level) | (negative ? 1U << (bits - 1) : 0U);
}

// What a residual loses by it: of a zero, one with the sign of x.
template <int bits>
GOSSAMER_DEVICE inline float qsgd_sent(float x, std::uint32_t code, float unit) {
  constexpr std::uint32_t kSign = 1U << (bits - 1);
  const float sent = static_cast<float>(static_cast<std::int32_t>(code & (kSign - 1))) * unit;
  return float_of(bits_of(sent) | (bits_of(x) & 0x80000000U));
}

template <int bits>
GOSSAMER_DEVICE inline float qsgd_value(std::uint32_t code, float unit) {
  constexpr std::uint32_t kSign = 1U << (bits - 1);
  const auto level = static_cast<std::int32_t>(code & (kSign - 1));
  return static_cast<float>((code & kSign) != 0 ? -level : level) * unit;
}

// terngrad.cpp. Of the sum of all values, of their squares, and their largest magnitude.
GOSSAMER_DEVICE inline float ternary_scale_of(double sum, double squares, float largest, std::size_t n,
                                              double clip) {
  if (clip <= 0) return largest;
  const auto count = static_cast<double>(n);
  const double mean = sum / count;
  const double deviation = sqrt(larger(0.0, squares / count - mean * mean));
  return static_cast<float>(smaller(static_cast<double>(largest), clip * deviation));
}

GOSSAMER_DEVICE inline float ternary_inverse(float scale) { return scale > kLeastScale ? 65536 / scale : 0; }

// 0, 1 or 2: nothing, s or -s.
GOSSAMER_DEVICE inline std::uint32_t ternary_digit(float x, float inverse, std::int32_t random) {
  const float share = smaller(magnitude_of(x) * inverse, 65536.0F);  // in units of 2^-16 of the scale
  if (random >= static_cast<std::int32_t>(share)) return 0;
  return x < 0 ? 2 : 1;
}

GOSSAMER_DEVICE inline float ternary_value(std::uint32_t digit, float scale) {
  return static_cast<float>(static_cast<std::int32_t>(digit & 1U) - static_cast<std::int32_t>(digit >> 1U)) *
         scale;
}

// one_bit.cpp
GOSSAMER_DEVICE inline float side_mean(double total, std::size_t count) {
  return count == 0 ? 0.0F : static_cast<float>(total / static_cast<double>(count));
}

}  // namespace gossamer::cuda
