#pragma once

#include <complex>
#include <span>
#include <vector>

namespace gossamer {

// The discrete Fourier transform of a power of two of complex numbers, in place, in doubles (Cooley and Tukey
// 1965, radix 2). With its own bound on rounding errors, which a library's would not tell.
class Fourier {
 public:
  // Requires a power of two, at least 2.
  explicit Fourier(std::size_t size);

  void forward(std::span<std::complex<double>> values) const { transform(values, false); }
  // Divides by the size.
  void inverse(std::span<std::complex<double>> values) const;

  // No result is further from the exact one than this times the sum of the inputs' magnitudes (of inverse():
  // the sum over the size).
  double error() const noexcept;

 private:
  void transform(std::span<std::complex<double>> values, bool inverse) const;

  std::size_t size_;
  std::vector<std::complex<double>> roots_;  // exp(-2 pi i k / size), k < size / 2
};

}  // namespace gossamer
