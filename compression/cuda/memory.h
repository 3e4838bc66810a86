// How the jobs (jobs.h) read and write memory: four floats at a time where they lie right for that.
#pragma once

#include "compression/cuda/arithmetic.h"

namespace gossamer::cuda {

inline constexpr unsigned kWarp = 32;  // threads; a team of so many is one

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

// The same of eight bytes, whose place is a multiple of eight.
GOSSAMER_DEVICE inline void store_eight(std::uint8_t* p, std::uint64_t bytes, std::size_t count) {
#ifdef __CUDA_ARCH__
  if (count >= 8) {
    *reinterpret_cast<std::uint64_t*>(p) = bytes;
    return;
  }
#endif
  for (std::size_t k = 0; k < 8 && k < count; ++k) p[k] = static_cast<std::uint8_t>(bytes >> (8 * k));
}

GOSSAMER_DEVICE inline std::uint64_t load_eight(const std::uint8_t* p, std::size_t count) {
#ifdef __CUDA_ARCH__
  if (count >= 8) return *reinterpret_cast<const std::uint64_t*>(p);
#endif
  std::uint64_t bytes = 0;
  for (std::size_t k = 0; k < 8 && k < count; ++k) bytes |= std::uint64_t{p[k]} << (8 * k);
  return bytes;
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

// Of a word that is not 0.
GOSSAMER_DEVICE inline unsigned trailing_zeros(std::uint64_t word) {
#ifdef __CUDA_ARCH__
  return static_cast<unsigned>(__ffsll(static_cast<long long>(word)) - 1);
#else
  return static_cast<unsigned>(__builtin_ctzll(word));
#endif
}

GOSSAMER_DEVICE inline std::uint32_t count_ones(std::uint32_t word) {
#ifdef __CUDA_ARCH__
  return static_cast<std::uint32_t>(__popc(word));
#else
  return static_cast<std::uint32_t>(__builtin_popcount(word));
#endif
}

// For numbers that several threads change: the order of the changes is not known, and does not matter.
GOSSAMER_DEVICE inline void add_to(std::uint32_t* number, std::uint32_t more) {
#ifdef __CUDA_ARCH__
  atomicAdd(number, more);
#else
  *number += more;
#endif
}

GOSSAMER_DEVICE inline void raise_to(std::uint32_t* number, std::uint32_t least) {
#ifdef __CUDA_ARCH__
  atomicMax(number, least);
#else
  *number = larger(*number, least);
#endif
}

// The same of bits in the word at p, which is aligned, as store_bytes() writes it.
GOSSAMER_DEVICE inline void or_into(std::uint8_t* p, std::uint32_t bits) {
#ifdef __CUDA_ARCH__
  atomicOr(reinterpret_cast<std::uint32_t*>(p), bits);
#else
  store_bytes(p, load_bytes(p, sizeof bits) | bits, sizeof bits);
#endif
}

constexpr std::size_t parts_of(std::size_t n, std::size_t part) { return (n + part - 1) / part; }

}  // namespace gossamer::cuda
