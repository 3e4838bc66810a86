// The stages of the rotation (rotation.h), for files that Highway compiles once for each kind of processor;
// so is this one.
#if defined(GOSSAMER_COMPRESSION_ROTATION_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GOSSAMER_COMPRESSION_ROTATION_INL_H
#undef GOSSAMER_COMPRESSION_ROTATION_INL_H
#else
#define GOSSAMER_COMPRESSION_ROTATION_INL_H
#endif

#include <hwy/highway.h>

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "compression/lanes-inl.h"
#include "compression/rotation.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

constexpr std::size_t kFloatLanes = hn::MaxLanes(Floats());
static_assert(kMostRotation <= 16 * kRandomChunk);

// Lanes whose index has the bit `distance` are the second of a pair; the others, `other` being x with the two
// of each pair exchanged, the first. The product is exact, so that it does not matter whether it is fused.
template <std::size_t distance>
HWY_INLINE FloatVector sum_and_difference(FloatVector x, FloatVector other) {
  alignas(64) static constexpr auto kSigns = [] {
    struct Signs {
      float of[kSumLanes] = {};
    } signs;
    for (std::size_t lane = 0; lane < kSumLanes; ++lane) signs.of[lane] = (lane & distance) != 0 ? -1 : 1;
    return signs;
  }();
  return hn::MulAdd(x, hn::Load(Floats(), kSigns.of), other);
}

// Of one vector.
HWY_INLINE FloatVector transform_lanes(FloatVector x) {
  x = sum_and_difference<1>(x, hn::Shuffle2301(x));
  x = sum_and_difference<2>(x, hn::Shuffle1032(x));
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2
  x = sum_and_difference<4>(x, hn::SwapAdjacentBlocks(x));
#endif
  if constexpr (kFloatLanes == 16) x = sum_and_difference<8>(x, hn::ConcatLowerUpper(Floats(), x, x));
  return x;
}

// The steps between `count` vectors, in halves: what is written down in full stays in registers.
template <std::size_t count>
HWY_INLINE void transform_vectors(FloatVector* x) {
  if constexpr (count > 1) {
    constexpr std::size_t half = count / 2;
    transform_vectors<half>(x);
    transform_vectors<half>(x + half);
    for (std::size_t r = 0; r < half; ++r) {
      const auto a = x[r], b = x[r + half];
      x[r] = hn::Add(a, b);
      x[r + half] = hn::Sub(a, b);
    }
  }
}

// The steps within vectors, and between `radix` of them: the first ones. load(i) gives the vector from number
// i on, and store(i, x) takes what becomes of it.
template <std::size_t radix, class Load, class Store>
HWY_INLINE void transform_neighbours(std::size_t n, const Load& load, const Store& store) {
  for (std::size_t i = 0; i < n; i += radix * kFloatLanes) {
    FloatVector x[radix];
    for (std::size_t r = 0; r < radix; ++r) x[r] = transform_lanes(load(i + r * kFloatLanes));
    transform_vectors<radix>(x);
    for (std::size_t r = 0; r < radix; ++r) store(i + r * kFloatLanes, x[r]);
  }
}

// The steps between floats `distance`, 2 `distance` ... radix / 2 `distance` apart.
template <std::size_t radix, class Store>
HWY_INLINE void transform_apart(const float* HWY_RESTRICT values, std::size_t n, std::size_t distance,
                                const Store& store) {
  for (std::size_t begin = 0; begin < n; begin += radix * distance) {
    for (std::size_t i = begin; i < begin + distance; i += kFloatLanes) {
      FloatVector x[radix];
      for (std::size_t r = 0; r < radix; ++r) x[r] = hn::Load(Floats(), values + i + r * distance);
      transform_vectors<radix>(x);
      for (std::size_t r = 0; r < radix; ++r) store(i + r * distance, x[r]);
    }
  }
}

// The Hadamard transform of n floats, kLeastRotation to kMostRotation, without its factor. The first stage
// loads and the last one stores, so that what comes before and after takes no pass of its own; between stages
// the floats lie in `room`, which is aligned.
template <class Load, class Store>
HWY_INLINE void transform(float* room, std::size_t n, const Load& load, const Store& store) {
  constexpr std::size_t radix = kFloatLanes == 16 ? 16 : 8;  // as many as there are registers for
  static_assert(radix * kFloatLanes <= kLeastRotation);
  const auto keep = [room](std::size_t i, FloatVector x) { hn::Store(x, Floats(), room + i); };
  std::size_t distance = radix * kFloatLanes;
  if (distance == n) return transform_neighbours<radix>(n, load, store);
  transform_neighbours<radix>(n, load, keep);
  for (; distance * radix < n; distance *= radix) transform_apart<radix>(room, n, distance, keep);
  if (distance * radix == n) return transform_apart<radix>(room, n, distance, store);
  for (; distance * 2 < n; distance *= 2) transform_apart<2>(room, n, distance, keep);
  transform_apart<2>(room, n, distance, store);
}

// The signs of a block, over the square root of its length.
class Factors {
 public:
  Factors(std::uint64_t key, std::uint64_t block, std::size_t n)
      : size_(1 / std::sqrt(static_cast<float>(n))) {
    random_chunk(key, kFirstSigns + block, signs_);
  }
  // Of the vector from number i on.
  HWY_INLINE FloatVector times(FloatVector x, std::size_t i) const {
    const auto* const bits = reinterpret_cast<const std::uint8_t*>(signs_ + i / kSumLanes);
    const auto negative = load_mask(bits, i % kSumLanes / kFloatLanes);
    return hn::Mul(x, hn::IfThenElse(negative, hn::Set(Floats(), -size_), hn::Set(Floats(), size_)));
  }

 private:
  HWY_ALIGN std::uint16_t signs_[kRandomChunk];
  float size_;
};

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
