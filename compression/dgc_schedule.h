#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace gossamer {

// Which share of the values deep gradient compression sends in a round (dgc.cpp).
class DgcSchedule {
 public:
  // Of compression.dgc.density and compression.dgc.warmup_rounds.
  DgcSchedule(double density, std::int64_t warmup_rounds) : warmup_rounds_(warmup_rounds) {
    double share = 1;
    for (double& step : densities_) step = warmup_rounds > 0 ? std::max(density, share /= 4) : density;
    densities_.back() = density;
  }

  double density_in(std::int64_t round) const noexcept {
    constexpr std::int64_t kSteps = 4;
    if (round >= warmup_rounds_) return densities_.back();
    return densities_[static_cast<std::size_t>(kSteps * round / warmup_rounds_)];
  }
  // All that there are.
  const std::array<double, 5>& densities() const noexcept { return densities_; }

 private:
  std::int64_t warmup_rounds_;
  std::array<double, 5> densities_;  // of the steps, and at last
};

}  // namespace gossamer
