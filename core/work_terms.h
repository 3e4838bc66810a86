#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// What a server says of the work that it asks for, besides the model. Zero: as configured.
struct WorkTerms {
  std::int64_t steps = 0;  // local steps
  std::size_t method = 0;  // by which the update is to travel (MessageContext::method)
  double clip_norm = 0;    // of the round (privacy.clipping = adaptive)

  bool operator==(const WorkTerms&) const = default;
};

}  // namespace gossamer
