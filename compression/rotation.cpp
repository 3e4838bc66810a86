#include "compression/rotation.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/rotation.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/rotation-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

void rotate_forth(float* values, std::size_t n, std::uint64_t key, std::uint64_t block) {
  const Factors factors(key, block, n);
  transform(
      values, n, [&](std::size_t i) { return factors.times(hn::Load(Floats(), values + i), i); },
      [&](std::size_t i, FloatVector x) { hn::Store(x, Floats(), values + i); });
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(rotate_forth);

}  // namespace

void rotate(float* values, std::size_t n, std::uint64_t key, std::uint64_t block) noexcept {
  HWY_DYNAMIC_DISPATCH(rotate_forth)(values, n, key, block);
}

}  // namespace gossamer
#endif
