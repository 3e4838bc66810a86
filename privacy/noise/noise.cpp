// Gaussian noise by Box and Muller (1958), Laplace noise by inversion: sixteen pairs of 64-bit words at a
// time. Logarithm and sine are polynomials of our own, of nothing but sums, products and one quotient, none
// of them fused, so that every processor gives the same bits.
#include "privacy/noise/noise.h"

#include <sodium.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "privacy/noise/noise.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kLanes = 16;  // of a group: kLanes words for radii, then as many for angles
constexpr std::size_t kGroup = 2 * kLanes;
using Doubles = hn::CappedTag<double, 8>;
using Words = hn::RebindToUnsigned<Doubles>;
using HalfFloats = hn::Rebind<float, Doubles>;
using DoubleVector = hn::Vec<Doubles>;
using WordVector = hn::Vec<Words>;

template <std::size_t n>
HWY_INLINE DoubleVector polynomial(DoubleVector x, const double (&coefficients)[n]) {
  const Doubles d;
  auto sum = hn::Set(d, coefficients[0]);
  for (std::size_t i = 1; i < n; ++i) sum = hn::Add(hn::Mul(sum, x), hn::Set(d, coefficients[i]));
  return sum;
}

// (w + 1/2) 2^-64: in (0, 1), with all 64 bits where it is small, where the tails come from.
HWY_INLINE DoubleVector unit_of(WordVector w) {
  const Doubles d;
  const Words words;
  const auto high = hn::BitCast(d, hn::Or(hn::ShiftRight<32>(w), hn::Set(words, 0x4530000000000000U)));
  const auto low =
      hn::BitCast(d, hn::Or(hn::And(w, hn::Set(words, 0xFFFFFFFFU)), hn::Set(words, 0x4330000000000000U)));
  const auto upper = hn::Sub(high, hn::Set(d, 0x1p84));
  const auto lower = hn::Add(hn::Sub(low, hn::Set(d, 0x1p52)), hn::Set(d, 0.5));
  return hn::Mul(hn::Add(upper, lower), hn::Set(d, 0x1p-64));
}

// -ln u, 0 < u <= 1 and not denormal. With u = m 2^e, m in [sqrt(1/2), sqrt(2)), by the series of
// 2 artanh((m - 1) / (m + 1)), which is left off below 2^-58 of it.
HWY_INLINE DoubleVector minus_log(DoubleVector u) {
  static constexpr double kSeries[] = {2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13,
                                       2.0 / 11, 2.0 / 9,  2.0 / 7,  2.0 / 5,  2.0 / 3};
  const Doubles d;
  const Words words;
  const auto bits = hn::BitCast(words, u);
  // e + 1024: one more from the bits of sqrt(1/2) on.
  const auto exponent =
      hn::ShiftRight<52>(hn::Add(bits, hn::Set(words, 0x4000000000000000U - 0x3FE6A09E667F3BCDU)));
  const auto whole = hn::Sub(hn::BitCast(d, hn::Or(exponent, hn::Set(words, 0x4330000000000000U))),
                             hn::Set(d, 0x1p52 + 1024));
  const auto m = hn::BitCast(d, hn::Sub(bits, hn::ShiftLeft<52>(hn::Sub(exponent, hn::Set(words, 1024U)))));
  const auto one = hn::Set(d, 1.0);
  const auto s = hn::Div(hn::Sub(m, one), hn::Add(m, one));
  const auto z = hn::Mul(s, s);
  const auto log_m = hn::Add(hn::Add(s, s), hn::Mul(s, hn::Mul(z, polynomial(z, kSeries))));
  return hn::Neg(hn::Add(log_m, hn::Mul(whole, hn::Set(d, 0.69314718055994530942))));
}

// Cosine and sine of an angle that is uniform on the circle: the upper 52 bits of w choose it within a
// quarter around zero, the lowest two the quarter.
HWY_INLINE void point_on_circle(WordVector w, DoubleVector& x, DoubleVector& y) {
  static constexpr double kSine[] = {-1.0 / 1307674368000, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880,
                                     -1.0 / 5040,          1.0 / 120,        -1.0 / 6,        1.0};
  static constexpr double kCosine[] = {1.0 / 20922789888000,
                                       -1.0 / 87178291200,
                                       1.0 / 479001600,
                                       -1.0 / 3628800,
                                       1.0 / 40320,
                                       -1.0 / 720,
                                       1.0 / 24,
                                       -1.0 / 2,
                                       1.0};
  const Doubles d;
  const Words words;
  const auto unit = hn::BitCast(d, hn::Or(hn::ShiftRight<12>(w), hn::Set(words, 0x3FF0000000000000U)));
  const auto angle = hn::Mul(hn::Sub(unit, hn::Set(d, 1.5)), hn::Set(d, 1.57079632679489661923));
  const auto z = hn::Mul(angle, angle);
  const auto sine = hn::Mul(angle, polynomial(z, kSine));
  const auto cosine = polynomial(z, kCosine);
  const auto swap = hn::MaskFromVec(hn::BitCast(d, hn::Sub(hn::Zero(words), hn::And(w, hn::Set(words, 1U)))));
  const auto sign = hn::BitCast(d, hn::ShiftLeft<62>(hn::And(w, hn::Set(words, 2U))));
  x = hn::Xor(hn::IfThenElse(swap, sine, cosine), sign);
  y = hn::Xor(hn::IfThenElse(swap, cosine, sine), sign);
}

// To the nearest whole number, of less than 2^51.
HWY_INLINE DoubleVector nearest(DoubleVector x) {
  const auto magic = hn::Set(Doubles(), 0x1.8p52);
  return hn::Sub(hn::Add(x, magic), magic);
}

// values = (whole(values / grid) + noise) * grid. The noise is a whole number that a float holds; a sum that
// none holds is rounded, which depends on nothing but the sum.
HWY_INLINE void add_on_grid(DoubleVector noise, float grid, float inverse, float* values) {
  const HalfFloats floats;
  const auto whole = hn::Trunc(hn::Mul(hn::LoadU(floats, values), hn::Set(floats, inverse)));
  const auto sum = hn::Add(whole, hn::DemoteTo(floats, noise));
  hn::StoreU(hn::Mul(sum, hn::Set(floats, grid)), floats, values);
}

// Whole groups of kGroup values, from as many words.
void add_gaussian_groups(const std::uint64_t* random, double units, float grid, float inverse, float* values,
                         std::size_t n) {
  const Words words;
  const Doubles d;
  for (std::size_t begin = 0; begin < n; begin += kGroup) {
    for (std::size_t i = begin; i < begin + kLanes; i += hn::Lanes(d)) {
      const auto twice = minus_log(unit_of(hn::LoadU(words, random + i)));
      const auto radius = hn::Mul(hn::Sqrt(hn::Add(twice, twice)), hn::Set(d, units));
      DoubleVector x, y;
      point_on_circle(hn::LoadU(words, random + i + kLanes), x, y);
      add_on_grid(nearest(hn::Mul(radius, x)), grid, inverse, values + i);
      add_on_grid(nearest(hn::Mul(radius, y)), grid, inverse, values + i + kLanes);
    }
  }
}

// The lowest bit is the sign, the others the magnitude.
void add_laplace_groups(const std::uint64_t* random, double units, float grid, float inverse, float* values,
                        std::size_t n) {
  const Words words;
  const Doubles d;
  for (std::size_t i = 0; i < n; i += hn::Lanes(d)) {
    const auto w = hn::LoadU(words, random + i);
    const auto bit = hn::And(w, hn::Set(words, 1U));
    const auto magnitude = hn::Mul(minus_log(unit_of(hn::Sub(w, bit))), hn::Set(d, units));
    const auto sign = hn::BitCast(d, hn::ShiftLeft<63>(bit));
    add_on_grid(nearest(hn::Xor(magnitude, sign)), grid, inverse, values + i);
  }
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(add_gaussian_groups);
HWY_EXPORT(add_laplace_groups);

constexpr std::size_t kGroupValues = 32;
// The most noise there is, 9.5 deviations or 45.1 scales, then takes less than the 24 bits of a float.
constexpr int kGaussianBits = 19, kLaplaceBits = 17;
constexpr std::size_t kBlockValues = 1024;  // the words of a block are 8 KiB

// The power of two that is 2^bits times, or up to twice as much, below `size`.
double grid_below(double size, int bits) { return std::ldexp(1.0, std::ilogb(size) - bits); }

template <class Kernel>
void add_noise_by(Kernel&& kernel, std::span<float> values, double size, int grid_bits, NoiseSource& source) {
  if (size == 0) return;
  if (!(size >= 1e-25 && size <= 1e25))
    throw std::logic_error("noise of a size that floats have no grid for");
  const double grid = grid_below(size, grid_bits);
  const auto unit = static_cast<float>(grid), inverse = static_cast<float>(1 / grid);
  alignas(64) std::uint64_t random[kBlockValues];
  for (std::size_t begin = 0; begin < values.size(); begin += kBlockValues) {
    const std::size_t n = std::min(kBlockValues, values.size() - begin);
    const std::size_t whole = n - n % kGroupValues, rest = n - whole;
    const std::size_t drawn = rest == 0 ? whole : whole + kGroupValues;
    source.fill(std::as_writable_bytes(std::span(random, drawn)));
    float* const to = values.data() + begin;
    kernel(random, size / grid, unit, inverse, to, whole);
    if (rest == 0) continue;
    float last[kGroupValues] = {};
    std::memcpy(last, to + whole, rest * sizeof(float));
    kernel(random + whole, size / grid, unit, inverse, last, kGroupValues);
    std::memcpy(to + whole, last, rest * sizeof(float));
  }
  sodium_memzero(random, sizeof random);
}

}  // namespace

double gaussian_noise_grid(double deviation) { return grid_below(deviation, kGaussianBits); }
double laplace_noise_grid(double scale) { return grid_below(scale, kLaplaceBits); }

double gaussian_deviation_for(double noise_multiplier, double sensitivity, std::size_t values) {
  if (noise_multiplier == 0) return 0;
  double grid = gaussian_noise_grid(noise_multiplier * sensitivity);
  for (int rounds = 0; rounds < 64; ++rounds) {
    const double deviation = noise_multiplier * (sensitivity + std::sqrt(static_cast<double>(values)) * grid);
    // More noise has the next grid, twice as wide.
    if (gaussian_noise_grid(deviation) <= grid) return deviation;
    grid = gaussian_noise_grid(deviation);
  }
  throw std::logic_error("no noise has so many deviations of what rounding so many floats to its grid moves");
}

void add_gaussian_noise(std::span<float> values, double deviation, NoiseSource& source) {
  add_noise_by(HWY_DYNAMIC_DISPATCH(add_gaussian_groups), values, deviation, kGaussianBits, source);
}

void add_laplace_noise(std::span<float> values, double scale, NoiseSource& source) {
  add_noise_by(HWY_DYNAMIC_DISPATCH(add_laplace_groups), values, scale, kLaplaceBits, source);
}

}  // namespace gossamer
#endif
