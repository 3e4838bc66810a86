// For files that Highway compiles once for each kind of processor; so is this one. What all of them give is
// the same, bit for bit: what is summed across elements is summed in kSumLanes lanes whatever the vector's
// length, and nothing is fused.
#if defined(GOSSAMER_COMPRESSION_LANES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GOSSAMER_COMPRESSION_LANES_INL_H
#undef GOSSAMER_COMPRESSION_LANES_INL_H
#else
#define GOSSAMER_COMPRESSION_LANES_INL_H
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "compression/methods.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline constexpr std::size_t kSumLanes = 16;
using Floats = hn::CappedTag<float, kSumLanes>;
using Words = hn::RebindToUnsigned<Floats>;
using Integers = hn::RebindToSigned<Floats>;
using FloatVector = hn::Vec<Floats>;
using WordVector = hn::Vec<Words>;
inline constexpr std::size_t kVectors = kSumLanes / hn::MaxLanes(Floats());  // that kSumLanes floats take

// Floats at an address of any alignment.
HWY_INLINE FloatVector load_floats(const std::uint8_t* bytes) {
  return hn::BitCast(Floats(), hn::LoadU(hn::Repartition<std::uint8_t, Floats>(), bytes));
}
HWY_INLINE void store_floats(FloatVector x, std::uint8_t* bytes) {
  const hn::Repartition<std::uint8_t, Floats> d;
  hn::StoreU(hn::BitCast(d, x), d, bytes);
}

// A bit an element, kSumLanes of them at a time: the first is the lowest.
HWY_INLINE void store_masks(const hn::Mask<Floats>* masks, std::uint8_t* bits) {
  const Floats floats;
  std::uint16_t all = 0;
  for (std::size_t part = 0; part < kVectors; ++part) {
    std::uint8_t stored[8] = {};
    hn::StoreMaskBits(floats, masks[part], stored);
    std::uint16_t of_part;
    std::memcpy(&of_part, stored, sizeof of_part);
    all = static_cast<std::uint16_t>(all | (of_part << (part * hn::Lanes(floats))));
  }
  std::memcpy(bits, &all, sizeof all);
}
// Those of the vector that is number `part` of its kSumLanes floats.
HWY_INLINE hn::Mask<Floats> load_mask(const std::uint8_t* bits, std::size_t part) {
  const Floats floats;
  std::uint16_t all;
  std::memcpy(&all, bits, sizeof all);
  all = static_cast<std::uint16_t>(all >> (part * hn::Lanes(floats)));
  std::uint8_t stored[8] = {};
  std::memcpy(stored, &all, sizeof all);
  return hn::LoadMaskBits(floats, stored);
}

HWY_INLINE WordVector magnitude_bits(FloatVector x) {
  const Words words;
  return hn::And(hn::BitCast(words, x), hn::Set(words, 0x7FFFFFFFU));
}

// Whether there is a float among them that is NaN or infinite.
HWY_INLINE bool has_non_finite(WordVector largest_magnitudes) {
  const Words words;
  return !hn::AllTrue(words, hn::Lt(largest_magnitudes, hn::Set(words, 0x7F800000U)));
}

// The largest magnitude of n values (a multiple of a vector), and of those in `largest`. With `residual` the
// values are values + residual, which is where they are left.
HWY_INLINE WordVector largest_magnitude(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual,
                                        std::size_t n, WordVector largest) {
  const Floats floats;
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    auto x = hn::LoadU(floats, values + i);
    if (residual != nullptr) {
      x = hn::Add(x, hn::LoadU(floats, residual + i));
      hn::StoreU(x, floats, residual + i);
    }
    largest = hn::Max(largest, magnitude_bits(x));
  }
  return largest;
}

HWY_INLINE float largest_lane(WordVector magnitudes) {
  return hn::GetLane(hn::MaxOfLanes(Floats(), hn::BitCast(Floats(), magnitudes)));
}

// sum += weight * (level * unit), of n values, a multiple of a vector.
HWY_INLINE void add_whole_levels(const std::int8_t* HWY_RESTRICT levels, float unit, float weight,
                                 float* HWY_RESTRICT sum, std::size_t n) {
  const Floats floats;
  const Integers integers;
  const hn::Rebind<std::int8_t, Floats> bytes;
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    const auto level = hn::ConvertTo(floats, hn::PromoteTo(integers, hn::LoadU(bytes, levels + i)));
    const auto value = hn::Mul(level, hn::Set(floats, unit));
    hn::StoreU(hn::Add(hn::LoadU(floats, sum + i), hn::Mul(hn::Set(floats, weight), value)), floats, sum + i);
  }
}

// The same of any number of values.
HWY_INLINE void add_levels(const std::int8_t* levels, float unit, float weight, float* sum, std::size_t n) {
  const std::size_t whole = n - n % kSumLanes, rest = n - whole;
  add_whole_levels(levels, unit, weight, sum, whole);
  if (rest == 0) return;
  std::int8_t last[kSumLanes] = {};
  HWY_ALIGN float out[kSumLanes] = {};
  std::memcpy(last, levels + whole, rest);
  std::memcpy(out, sum + whole, rest * sizeof(float));
  add_whole_levels(last, unit, weight, out, kSumLanes);
  std::memcpy(sum + whole, out, rest * sizeof(float));
}

// Sums in kSumLanes lanes.
class LaneSums {
 public:
  // Of the vector that is number `part` of its kSumLanes floats.
  HWY_INLINE void add(std::size_t part, FloatVector x) { sums_[part] = hn::Add(sums_[part], x); }
  HWY_INLINE double total() const {
    const Floats floats;
    HWY_ALIGN float lanes[kSumLanes];
    for (std::size_t part = 0; part < kVectors; ++part)
      hn::Store(sums_[part], floats, lanes + part * hn::Lanes(floats));
    double total = 0;
    for (const float lane : lanes) total += static_cast<double>(lane);
    return total;
  }

 private:
  FloatVector sums_[kVectors] = {};
};

// A stream of random bits that any element can be asked for: 16 for each. Those of chunk c of kRandomChunk
// elements are the blocks 64 c .. 64 c + 63 of Philox4x32-7 (Salmon et al., SC 2011: the fewest rounds that
// pass BigCrush) under the key; of a block's four words the first two are the bits of the elements 4 b ..
// 4 b + 3 of the chunk, the others those of 256 + 4 b and so on.
inline constexpr std::size_t kRandomChunk = kBlockFloats;

HWY_INLINE void random_chunk(std::uint64_t key, std::uint64_t chunk, std::uint16_t* HWY_RESTRICT bits) {
  const hn::CappedTag<std::uint64_t, 8> d;
  const auto m0 = hn::Set(d, 0xD2511F53U);
  const auto m1 = hn::Set(d, 0xCD9E8D57U);
  const auto low = hn::Set(d, 0xFFFFFFFFU);
  const hn::Repartition<std::uint32_t, decltype(d)> d32;
  const auto product = [&](auto a, auto b) {
    return hn::BitCast(d, hn::MulEven(hn::BitCast(d32, a), hn::BitCast(d32, b)));
  };
  constexpr std::size_t kBlocks = kRandomChunk / 8;
  // Highway's Iota() writes them one by one and then waits to read them as a vector.
  alignas(64) static constexpr std::uint64_t kNumbers[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  auto counter = hn::Add(hn::Load(d, kNumbers), hn::Set(d, chunk * kBlocks));
  for (std::size_t b = 0; b < kBlocks; b += hn::Lanes(d)) {
    // Only the lower halves of the lanes count.
    auto c0 = counter;
    counter = hn::Add(counter, hn::Set(d, hn::Lanes(d)));
    auto c1 = hn::Set(d, chunk * kBlocks >> 32U);
    auto c2 = hn::Zero(d);
    auto c3 = hn::Zero(d);
    auto k0 = static_cast<std::uint32_t>(key);
    auto k1 = static_cast<std::uint32_t>(key >> 32U);
    for (int round = 0; round < 7; ++round) {
      const auto p0 = product(m0, c0);
      const auto p1 = product(m1, c2);
      c0 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p1), c1), hn::Set(d, k0));
      c1 = p1;
      c2 = hn::Xor(hn::Xor(hn::ShiftRight<32>(p0), c3), hn::Set(d, k1));
      c3 = p0;
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    const auto first = hn::Or(hn::And(c0, low), hn::ShiftLeft<32>(c1));
    const auto second = hn::Or(hn::And(c2, low), hn::ShiftLeft<32>(c3));
    auto* const words = reinterpret_cast<std::uint64_t*>(bits);
    hn::StoreU(first, d, words + b);
    hn::StoreU(second, d, words + kBlocks + b);
  }
}

// The 16 random bits of each of one vector's elements.
HWY_INLINE hn::Vec<Integers> random_integers(const std::uint16_t* bits) {
  const hn::Rebind<std::uint16_t, Floats> halves;
  return hn::PromoteTo(Integers(), hn::LoadU(halves, bits));
}

// Magnitudes below 2^14, rounded down or up at random to whole numbers, so that the mean is the magnitude (to
// 2^-16).
HWY_INLINE hn::Vec<Integers> round_at_random(FloatVector magnitudes, const std::uint16_t* bits) {
  const auto fixed = hn::ConvertTo(Integers(), hn::Mul(magnitudes, hn::Set(Floats(), 65536.0F)));
  return hn::ShiftRight<16>(hn::Add(fixed, random_integers(bits)));
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
