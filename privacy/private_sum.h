#pragma once

#include <cstddef>
#include <span>
#include <vector>

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
  // finite, and then counts nothing).
  bool add(std::span<float> update);
  // Writes the mean; zeros behind the parameters. An empty sum gets its noise too.
  void finish(std::span<float> mean, std::uint64_t round) const;

  // The longest contribution since begin(), as it went into the sum.
  double longest() const noexcept { return longest_; }

 private:
  PrivacyPlan plan_;
  double deviation_;  // of Laplace noise its scale
  double grid_;       // 0: no noise, no grid
  std::vector<double> sum_;
  double longest_ = 0;
};

}  // namespace gossamer
