#pragma once

#include <cstddef>

namespace gossamer {

// What an aggregator says of what is below it, so that the root's metrics are of all the tree. Travels behind
// the update's payload, as doubles in this order; whole numbers.
struct SubtreeReport {
  static constexpr std::size_t kValues = 5;

  double clients = 0;  // updates of clients that went into this one
  double dropped = 0;
  double rejected = 0;
  double bytes_up = 0;  // over the links below
  double bytes_down = 0;

  bool operator==(const SubtreeReport&) const = default;
};

}  // namespace gossamer
