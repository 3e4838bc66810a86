#include "privacy/private_sum.h"

#include <algorithm>
#include <cmath>

#include "core/buffers.h"
#include "privacy/clip.h"
#include "privacy/noise/noise.h"

namespace gossamer {
namespace {

// A client that clips ends at most so much above the norm, for rounding.
constexpr double kTolerance = 1e-6;

double grid_of(const PrivacyPlan& plan, double deviation) {
  if (deviation == 0) return 0;
  return plan.noise == NoiseKind::laplace ? laplace_noise_grid(deviation) : gaussian_noise_grid(deviation);
}

}  // namespace

PrivateSum::PrivateSum(const PrivacyPlan& plan, std::size_t parameters) : plan_(plan), sum_(parameters) {
  if (plan.adaptive) {
    adaptive_.emplace(plan);
    plan_.noise_multiplier = adaptive_->noise_multiplier();
  }
  clip_at(plan.clip_norm);
}

void PrivateSum::clip_at(double norm) {
  plan_.clip_norm = norm;
  deviation_ = plan_.noise_multiplier == 0 ? 0 : plan_.noise_multiplier * plan_.sensitivity();
  grid_ = grid_of(plan_, deviation_);
}

void PrivateSum::begin() {
  std::ranges::fill(sum_, 0.0);
  longest_ = 0;
  if (adaptive_) adaptive_->begin();
}

bool PrivateSum::add(std::span<float> update, bool within) {
  if (adaptive_) adaptive_->add(within);
  const std::span<float> values = update.first(sum_.size());
  const double norm = clip_to(plan_.noise, plan_.clip_norm, values);
  if (grid_ > 0) {
    const double per_grid = 1 / grid_;
    for (float& value : values)
      value = static_cast<float>(std::trunc(static_cast<double>(value) * per_grid) * grid_);
  }
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += static_cast<double>(values[i]);
  longest_ = std::max(longest_, norm_for(plan_.noise, values));
  return !(norm <= plan_.clip_norm * (1 + kTolerance));
}

void PrivateSum::finish(std::span<float> mean, std::uint64_t round) {
  FloatBuffer noise(sum_.size());
  std::ranges::fill(noise, 0.0F);
  const auto source = make_noise_source(plan_, kServerNoise, round);
  if (plan_.noise == NoiseKind::laplace) {
    add_laplace_noise(noise, deviation_, *source);
  } else {
    add_gaussian_noise(noise, deviation_, *source);
  }
  for (std::size_t i = 0; i < sum_.size(); ++i)
    mean[i] = static_cast<float>((sum_[i] + static_cast<double>(noise[i])) / plan_.denominator);
  std::ranges::fill(mean.subspan(sum_.size()), 0.0F);
  if (!adaptive_) return;
  adaptive_->finish(round);
  clip_at(adaptive_->clip_norm());
}

void PrivateSum::restore(double clip_norm) {
  adaptive_.value().restore(clip_norm);
  clip_at(clip_norm);
}

}  // namespace gossamer
