#pragma once

#include "core/registry.h"
#include "core/types.h"

namespace gossamer {

// How much an update counts that was computed from an old model version. Pure.
class StalenessWeight {
 public:
  virtual ~StalenessWeight() = default;
  // In (0, 1]; 1 at staleness 0, and never rising.
  virtual double of(Round staleness) const = 0;
};

// `sync.staleness_weight`.
const Registry<StalenessWeight>& staleness_weights();

}  // namespace gossamer
