#include "compression/rotation.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/rotation.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

constexpr std::size_t kFloatLanes = hn::MaxLanes(Floats());
// The signs of a block are bits of a chunk far beyond those that values take.
constexpr std::uint64_t kFirstSigns = std::uint64_t{1} << 48U;
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

// The steps within vectors, and between `radix` of them: the first ones, of values that `load` gives.
template <std::size_t radix, class Load>
HWY_INLINE void transform_neighbours(float* HWY_RESTRICT values, std::size_t n, const Load& load) {
  for (std::size_t i = 0; i < n; i += radix * kFloatLanes) {
    FloatVector x[radix];
    for (std::size_t r = 0; r < radix; ++r) x[r] = transform_lanes(load(i + r * kFloatLanes));
    transform_vectors<radix>(x);
    for (std::size_t r = 0; r < radix; ++r) hn::Store(x[r], Floats(), values + i + r * kFloatLanes);
  }
}

// The steps between floats `distance`, 2 `distance` ... radix / 2 `distance` apart.
template <std::size_t radix>
HWY_INLINE void transform_apart(float* HWY_RESTRICT values, std::size_t n, std::size_t distance) {
  for (std::size_t begin = 0; begin < n; begin += radix * distance) {
    for (std::size_t i = begin; i < begin + distance; i += kFloatLanes) {
      FloatVector x[radix];
      for (std::size_t r = 0; r < radix; ++r) x[r] = hn::Load(Floats(), values + i + r * distance);
      transform_vectors<radix>(x);
      for (std::size_t r = 0; r < radix; ++r) hn::Store(x[r], Floats(), values + i + r * distance);
    }
  }
}

// Of values that `load` gives, a vector at a time.
template <class Load>
HWY_INLINE void transform(float* values, std::size_t n, const Load& load) {
  constexpr std::size_t radix = kFloatLanes == 16 ? 16 : 8;  // as many as there are registers for
  static_assert(radix * kFloatLanes <= kLeastRotation);
  transform_neighbours<radix>(values, n, load);
  std::size_t distance = radix * kFloatLanes;
  for (; distance * radix <= n; distance *= radix) transform_apart<radix>(values, n, distance);
  for (; distance * 2 <= n; distance *= 2) transform_apart<2>(values, n, distance);
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

void rotate_forth(float* values, std::size_t n, std::uint64_t key, std::uint64_t block) {
  const Factors factors(key, block, n);
  transform(values, n, [&](std::size_t i) { return factors.times(hn::Load(Floats(), values + i), i); });
}

void rotate_back_again(float* values, std::size_t n, std::uint64_t key, std::uint64_t block) {
  const Factors factors(key, block, n);
  transform(values, n, [&](std::size_t i) { return hn::Load(Floats(), values + i); });
  for (std::size_t i = 0; i < n; i += kFloatLanes)
    hn::Store(factors.times(hn::Load(Floats(), values + i), i), Floats(), values + i);
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(rotate_forth);
HWY_EXPORT(rotate_back_again);

}  // namespace

void rotate(float* values, std::size_t n, std::uint64_t key, std::uint64_t block) noexcept {
  HWY_DYNAMIC_DISPATCH(rotate_forth)(values, n, key, block);
}

void rotate_back(float* values, std::size_t n, std::uint64_t key, std::uint64_t block) noexcept {
  HWY_DYNAMIC_DISPATCH(rotate_back_again)(values, n, key, block);
}

}  // namespace gossamer
#endif
