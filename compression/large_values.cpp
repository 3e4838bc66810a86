#include "compression/large_values.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/large_values.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

static_assert(kSumLanes <= kListPadding);

std::size_t list_large(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual, std::size_t n,
                       float threshold, std::uint32_t* HWY_RESTRICT indices, float* HWY_RESTRICT listed) {
  const Floats floats;
  const Words words;
  const auto least = hn::Set(floats, threshold);
  auto largest = hn::Zero(words);
  std::size_t count = 0;
  const std::size_t lanes = hn::Lanes(floats), whole = n - n % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    auto x = hn::LoadU(floats, values + i);
    if (residual != nullptr) {
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
  for (std::size_t i = whole; i < n; ++i) {
    float x = values[i];
    if (residual != nullptr) residual[i] = x = x + residual[i];
    finite = finite && std::isfinite(x);
    if (std::abs(x) >= threshold) {
      listed[count] = x;
      indices[count++] = static_cast<std::uint32_t>(i);
    }
  }
  return finite ? count : SIZE_MAX;
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(list_large);

}  // namespace

std::size_t list_large_values(const float* values, float* residual, std::size_t n, float threshold,
                              std::uint32_t* indices, float* listed) {
  return HWY_DYNAMIC_DISPATCH(list_large)(values, residual, n, threshold, indices, listed);
}

}  // namespace gossamer
#endif
