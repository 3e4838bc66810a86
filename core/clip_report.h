#pragma once

#include <cstddef>

namespace gossamer {

// What a client says of the round's clip norm (privacy.clipping = adaptive). Travels behind the update's
// payload, as a double: 1 or 0.
struct ClipReport {
  static constexpr std::size_t kValues = 1;

  double within = 0;  // whether its update was no longer than that, before it was clipped

  bool operator==(const ClipReport&) const = default;
};

}  // namespace gossamer
