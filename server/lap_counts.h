#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "core/types.h"

namespace gossamer {

// How many of the workers are at which clock. Workers are never far apart for long, so the clocks between the
// first and the last that somebody is at are kept in a row.
class LapCounts {
 public:
  bool empty() const noexcept { return counts_.empty(); }
  // The slowest's clock. Requires that there is somebody.
  Round first() const noexcept { return first_; }

  // So many more (or fewer) at this clock; never fewer than none.
  void count(Round clock, int change) {
    if (counts_.empty()) first_ = clock;
    for (; clock < first_; --first_) counts_.push_front(0);
    const auto at = static_cast<std::size_t>(clock - first_);
    if (at >= counts_.size()) counts_.resize(at + 1);
    counts_[at] += change;
    while (!counts_.empty() && counts_.back() == 0) counts_.pop_back();
    for (; !counts_.empty() && counts_.front() == 0; ++first_) counts_.pop_front();
  }

 private:
  std::deque<std::int64_t> counts_;
  Round first_ = 0;
};

}  // namespace gossamer
