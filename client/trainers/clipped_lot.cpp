#include "client/trainers/clipped_lot.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "client/trainers/vectors.h"
#include "privacy/noise/noise.h"

namespace gossamer {

ClippedLot::ClippedLot(std::size_t parameters, std::vector<double> bounds)
    : bounds_(std::move(bounds)), sum_(parameters) {}

double ClippedLot::sensitivity() const {
  if (bounds_.size() == 1) return bounds_.front();
  double squares = 0;
  for (const double bound : bounds_) squares += bound * bound;
  return std::sqrt(squares);
}

void NoisyGradient::take(ClippedLot& lot, double noise_multiplier, NoiseSource& source, double nominal_lot) {
  std::swap(values_, lot.sum_);
  if (lot.empty_) std::ranges::fill(values_, 0.0F);
  lot.empty_ = true;
  lot.counts_ = {};
  const double deviation = gaussian_deviation_for(noise_multiplier, lot.sensitivity(), values_.size());
  add_gaussian_noise(values_, deviation, source);
  scale(values_, static_cast<float>(1 / nominal_lot));
}

}  // namespace gossamer
