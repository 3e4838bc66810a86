#pragma once

#include <cstdint>

#include "privacy/privacy_plan.h"

namespace gossamer {

// A clip norm that follows a quantile of the updates' norms (Andrew, Thakkar, McMahan, Ramaswamy:
// "Differentially private learning with adaptive clipping", NeurIPS 2021). Each client says one bit: whether
// its update, before it was clipped, was within the round's norm C. The server adds the bits up, with noise,
// and goes on with C exp(-lr (b - quantile)), where b is the noisy share of those within. Bits and updates
// are released together: the updates get so much more noise that both cost what the plan's multiplier says.
// The server's; not thread-safe.
class AdaptiveClip {
 public:
  // Begins with the plan's clip norm; shares are of the plan's denominator, whoever took part. Requires
  // plan.adaptive. Throws ConfigError where the bits alone would cost more than the plan says.
  explicit AdaptiveClip(const PrivacyPlan& plan);

  double clip_norm() const noexcept { return clip_norm_; }
  // Of the updates' noise, over the clip norm; above the plan's, and 0 where that is 0.
  double noise_multiplier() const noexcept { return noise_multiplier_; }

  void begin() noexcept { halves_ = 0; }
  void add(bool within) noexcept { halves_ += within ? 1 : -1; }
  // The next round's clip norm. Once a round.
  void finish(std::uint64_t round);

  // From a checkpoint. Throws FileError where it is no norm.
  void restore(double clip_norm);

 private:
  PrivacyPlan plan_;
  AdaptiveClipping settings_;
  double clip_norm_;
  double noise_multiplier_;
  std::int64_t halves_ = 0;  // of bits that count 1/2 or -1/2, so that a client moves their sum by no more
};

}  // namespace gossamer
