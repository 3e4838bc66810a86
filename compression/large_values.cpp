#include "compression/large_values.h"

#include <bit>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/large_values.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

static_assert(kSumLanes <= kListPadding);

// `momentum` is looked at only with kMomentum, `cancelled` set only then.
template <bool kMomentum>
HWY_INLINE std::size_t list_large(const float* HWY_RESTRICT values, const Momentum& momentum,
                                  float* HWY_RESTRICT residual, std::size_t n, float threshold,
                                  std::uint32_t* HWY_RESTRICT indices, float* HWY_RESTRICT listed,
                                  bool& cancelled) {
  const Floats floats;
  const Words words;
  const auto least = hn::Set(floats, threshold);
  const auto factor = hn::Set(floats, momentum.factor), scale = hn::Set(floats, momentum.scale);
  float* const HWY_RESTRICT velocity = momentum.velocity;
  auto largest = hn::Zero(words);
  auto settled = hn::Zero(words);  // the velocities' bits where the sum is zero
  std::size_t count = 0;
  const std::size_t lanes = hn::Lanes(floats), whole = n - n % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    auto x = hn::LoadU(floats, values + i);
    if constexpr (kMomentum) {
      const auto u = hn::Mul(factor, hn::LoadU(floats, velocity + i));
      x = hn::Add(u, hn::Mul(scale, x));
      hn::StoreU(x, floats, velocity + i);
      const auto sum = hn::Add(x, hn::LoadU(floats, residual + i));
      hn::StoreU(sum, floats, residual + i);
      const auto of_zeros = hn::IfThenElseZero(hn::Eq(sum, hn::Zero(floats)), x);
      settled = hn::Or(settled, hn::BitCast(words, of_zeros));
      x = sum;
    } else if (residual != nullptr) {
      x = hn::Add(x, hn::LoadU(floats, residual + i));
      hn::StoreU(x, floats, residual + i);
    }
    largest = hn::Max(largest, magnitude_bits(x));
    const auto large = hn::Ge(hn::Abs(x), least);
    if (HWY_LIKELY(hn::AllFalse(floats, large))) continue;
    const auto numbers = hn::Iota(words, static_cast<std::uint32_t>(i));
    hn::StoreU(hn::Compress(x, large), floats, listed + count);
    hn::StoreU(hn::Compress(numbers, hn::RebindMask(words, large)), words, indices + count);
    count += hn::CountTrue(floats, large);
  }
  bool finite = !has_non_finite(largest);
  cancelled = !hn::AllTrue(words, hn::Eq(settled, hn::Zero(words)));
  for (std::size_t i = whole; i < n; ++i) {
    float x = values[i];
    if constexpr (kMomentum) {
      const float u = momentum.factor * velocity[i] + momentum.scale * x;
      velocity[i] = u;
      residual[i] = x = u + residual[i];
      cancelled = cancelled || (x == 0 && std::bit_cast<std::uint32_t>(u) != 0);
    } else if (residual != nullptr) {
      residual[i] = x = x + residual[i];
    }
    finite = finite && std::isfinite(x);
    if (std::abs(x) >= threshold) {
      listed[count] = x;
      indices[count++] = static_cast<std::uint32_t>(i);
    }
  }
  return finite ? count : SIZE_MAX;
}

std::size_t list_large_sums(const float* values, float* residual, std::size_t n, float threshold,
                            std::uint32_t* indices, float* listed) {
  bool cancelled;
  return list_large<false>(values, {}, residual, n, threshold, indices, listed, cancelled);
}

LargeValues list_large_velocities(const float* values, const Momentum& momentum, float* residual,
                                  std::size_t n, float threshold, std::uint32_t* indices, float* listed) {
  LargeValues large;
  large.count = list_large<true>(values, momentum, residual, n, threshold, indices, listed, large.cancelled);
  return large;
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(list_large_sums);
HWY_EXPORT(list_large_velocities);

}  // namespace

std::size_t list_large_values(const float* values, float* residual, std::size_t n, float threshold,
                              std::uint32_t* indices, float* listed) {
  return HWY_DYNAMIC_DISPATCH(list_large_sums)(values, residual, n, threshold, indices, listed);
}

LargeValues list_large_values(const float* values, const Momentum& momentum, float* residual, std::size_t n,
                              float threshold, std::uint32_t* indices, float* listed) {
  return HWY_DYNAMIC_DISPATCH(list_large_velocities)(values, momentum, residual, n, threshold, indices,
                                                     listed);
}

}  // namespace gossamer
#endif
