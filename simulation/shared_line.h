#pragma once

#include <algorithm>
#include <cstddef>

#include "core/types.h"

namespace gossamer {

// The one line of a virtual server, which its clients share: transfers take it in turn, each way by itself.
// They are to be given in the order in which they begin.
class SharedLine {
 public:
  // `bytes_per_s`: of each way; 0: no limit.
  explicit SharedLine(double bytes_per_s) : rate_(bytes_per_s) {}

  bool limited() const noexcept { return rate_ > 0; }
  // When what wants to leave at `now` begins to, and when the last of it has left.
  struct Turn {
    Seconds begin, end;
  };
  Turn send(std::size_t bytes, Seconds now) { return take(out_free_, bytes, now); }
  // When the last of what begins to come in at `now` is in.
  Turn receive(std::size_t bytes, Seconds now) { return take(in_free_, bytes, now); }

 private:
  Turn take(Seconds& free, std::size_t bytes, Seconds now) const {
    if (!limited()) return {now, now};
    const Seconds begin = std::max(now, free);
    free = begin + static_cast<double>(bytes) / rate_;
    return {begin, free};
  }

  double rate_;
  Seconds out_free_ = 0, in_free_ = 0;
};

}  // namespace gossamer
