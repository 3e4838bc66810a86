#pragma once

#include <cstddef>
#include <span>

#include "privacy/noise/noise_source.h"

namespace gossamer {

// values += noise, so that the result does not tell through its last bits which value the noise was added to.
//
// A sum of floats can take only some values, and which ones depends on both summands (Mironov, "On
// significance of the least significant bits for differential privacy", 2012; for Gaussian noise: Jin et al.,
// "Are we there yet? Timing and floating-point attacks on differential privacy systems", 2022). The defence
// is a grid, as in Google's "Secure noise generation" (2020): a value is rounded towards zero to a multiple
// of noise_grid(), which makes no vector longer; the noise, computed in doubles from 8 random bytes each, is
// rounded to a multiple of it too; both are added as whole numbers. So what results depends on the value only
// through the whole number that the noise is added to, and rounding ideal noise, which comes after adding it,
// costs no privacy. What is left of floating point: the probability of a grid point is that of ideal noise
// but for a factor of 1 +- 2^-26, and magnitudes that ideal noise exceeds with less than 1e-19 do not occur.
//
// `deviation`: the noise's standard deviation; 0 adds none, and leaves the values as they are. The same bits
// from the same source on every processor. Throws std::logic_error where deviation is negative, not finite,
// or so small or large that floats have no such grid (below 1e-25 or above 1e25).
void add_gaussian_noise(std::span<float> values, double deviation, NoiseSource& source);

// The same with Laplace noise of the density exp(-|x| / scale) / (2 scale).
void add_laplace_noise(std::span<float> values, double scale, NoiseSource& source);

// A power of two, of a positive number: for Gaussian noise between 2^-20 and 2^-19 of the deviation, for
// Laplace between 2^-18 and 2^-17 of the scale. Sums of values that one record changes by at most C, if they
// are not on the grid already, may change by up to C + sqrt(n) grid (in L1: C + n grid) once they are.
double gaussian_noise_grid(double deviation);
double laplace_noise_grid(double scale);

// The standard deviation of Gaussian noise for a sum of `values` floats that lie on no grid, where one record
// changes it by at most `sensitivity` (L2): the least d, within rounding, that is noise_multiplier times what
// a record changes once the sum is rounded to the grid of that very noise,
//   d = noise_multiplier (sensitivity + sqrt(values) gaussian_noise_grid(d)),
// so that the noise multiplier is what accountants may take it for. 0 for a noise_multiplier of 0, whatever
// the sensitivity. Throws std::logic_error where there is none, since noise_multiplier sqrt(values) is
// beyond 2^19.
double gaussian_deviation_for(double noise_multiplier, double sensitivity, std::size_t values);

// What a noise of one value takes from its source.
inline constexpr std::size_t kNoiseBytes = 8;

}  // namespace gossamer
