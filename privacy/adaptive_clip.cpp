#include "privacy/adaptive_clip.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/text.h"
#include "privacy/noise/noise.h"

namespace gossamer {
namespace {

// In place of a client's number: noise on the bits. (The server's own is on the updates, the one below on
// cohorts.)
constexpr std::uint64_t kBitNoise = kServerNoise - 2;

// Far from any norm that there is, and within what noise there is for.
constexpr double kLeastNorm = 1e-12, kMostNorm = 1e12;

// Theorem 1: with bits of sensitivity 1/2 and both noises the whole is as private as one sum with the
// multiplier z.
double raised(double z, double bit_noise) {
  if (z == 0) return 0;
  const double left = 1 / (z * z) - 1 / (4 * bit_noise * bit_noise);
  if (!(left > 0))
    throw ConfigError("privacy.adaptive.bit_noise = " + shortest(bit_noise) +
                      ": with a noise multiplier of " + shortest(z) +
                      " the bits alone would cost more; expected a number above " + shortest(z / 2));
  return 1 / std::sqrt(left);
}

}  // namespace

AdaptiveClip::AdaptiveClip(const PrivacyPlan& plan)
    : plan_(plan), settings_(plan.adaptive.value()), clip_norm_(plan.clip_norm) {
  if (settings_.bit_noise == 0) settings_.bit_noise = plan_.denominator / 20;
  noise_multiplier_ = raised(plan_.noise_multiplier, settings_.bit_noise);
}

void AdaptiveClip::finish(std::uint64_t round) {
  std::array<float, 1> sum{static_cast<float>(halves_) / 2};
  if (plan_.noise_multiplier > 0)
    add_gaussian_noise(sum, settings_.bit_noise, *make_noise_source(plan_, kBitNoise, round));
  const double within = 0.5 + static_cast<double>(sum[0]) / plan_.denominator;
  clip_norm_ =
      std::clamp(clip_norm_ * std::exp(-settings_.lr * (within - settings_.quantile)), kLeastNorm, kMostNorm);
  begin();
}

void AdaptiveClip::restore(double clip_norm) {
  if (!(clip_norm >= kLeastNorm && clip_norm <= kMostNorm))
    throw FileError("checkpoint: a clip norm of " + shortest(clip_norm));
  clip_norm_ = clip_norm;
  begin();
}

}  // namespace gossamer
