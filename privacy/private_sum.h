#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "privacy/adaptive_clip.h"
#include "privacy/privacy_plan.h"

namespace gossamer {

// privacy.placement = central: the sum of a round's updates, of which each is bounded again, plus noise, over
// a number that does not depend on who took part (McMahan, Ramage, Talwar, Zhang: "Learning differentially
// private recurrent language models", ICLR 2018). Each update is rounded towards zero to the noise's grid
// (privacy/noise/noise.h), and then the sum is exact: the same in any order, and moved by no client by more
// than the clip norm.
class PrivateSum {
 public:
  // Of the first `parameters` floats; what is behind them is not released.
  PrivateSum(const PrivacyPlan& plan, std::size_t parameters);

  void begin();
  // Takes in an update, which is overwritten. Returns whether it was longer than the clip norm (or not
  // finite, and then counts nothing). `within`: what its client said of the norm, where that is adaptive.
  bool add(std::span<float> update, bool within = false);
  // Writes the mean; zeros behind the parameters. An empty sum gets its noise too. Ends the round: where the
  // clip norm is adaptive, the next one has another.
  void finish(std::span<float> mean, std::uint64_t round);

  // Of this round.
  double clip_norm() const noexcept { return plan_.clip_norm; }
  bool adapts() const noexcept { return adaptive_.has_value(); }
  // From a checkpoint. Throws FileError where it is no norm.
  void restore(double clip_norm);

  // The longest contribution since begin(), as it went into the sum.
  double longest() const noexcept { return longest_; }

 private:
  void clip_at(double norm);

  PrivacyPlan plan_;  // with this round's clip norm
  std::optional<AdaptiveClip> adaptive_;
  double deviation_ = 0;  // of Laplace noise its scale
  double grid_ = 0;       // 0: no noise, no grid
  std::vector<double> sum_;
  double longest_ = 0;
};

}  // namespace gossamer
