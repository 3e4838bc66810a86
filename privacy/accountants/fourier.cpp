#include "privacy/accountants/fourier.h"

#include <bit>
#include <cmath>
#include <limits>
#include <numbers>

namespace gossamer {
namespace {

// Each stage adds to a value another one times a root that is itself rounded: at most 2 + 2 sqrt(2) + 1
// roundings of half an epsilon each, relative to the sum of the two magnitudes.
constexpr double kRoundingsOfStage = 8;

}  // namespace

Fourier::Fourier(std::size_t size) : size_(size), roots_(size / 2) {
  for (std::size_t k = 0; k < roots_.size(); ++k) {
    const double angle = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(size);
    roots_[k] = {std::cos(angle), std::sin(angle)};
  }
}

void Fourier::transform(std::span<std::complex<double>> values, bool inverse) const {
  for (std::size_t i = 1, j = 0; i < size_; ++i) {  // bits in reverse
    std::size_t bit = size_ / 2;
    for (; (j & bit) != 0; bit /= 2) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
  for (std::size_t half = 1; half < size_; half *= 2) {
    const std::size_t stride = size_ / (2 * half);
    for (std::size_t begin = 0; begin < size_; begin += 2 * half) {
      for (std::size_t k = 0; k < half; ++k) {
        const double cosine = roots_[k * stride].real();
        const double sine = inverse ? -roots_[k * stride].imag() : roots_[k * stride].imag();
        std::complex<double>&a = values[begin + k], &b = values[begin + k + half];
        const double real = b.real() * cosine - b.imag() * sine;
        const double imaginary = b.real() * sine + b.imag() * cosine;
        b = {a.real() - real, a.imag() - imaginary};
        a = {a.real() + real, a.imag() + imaginary};
      }
    }
  }
}

void Fourier::inverse(std::span<std::complex<double>> values) const {
  transform(values, true);
  const double scale = 1 / static_cast<double>(size_);
  for (auto& value : values) value *= scale;
}

double Fourier::error() const noexcept {
  return kRoundingsOfStage * std::bit_width(size_) * (std::numeric_limits<double>::epsilon() / 2);
}

}  // namespace gossamer
