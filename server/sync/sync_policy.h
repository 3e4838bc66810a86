#pragma once

#include "core/registry.h"
#include "core/types.h"

namespace gossamer {

// What a policy may know of the round under way.
struct Progress {
  Round round = 0;
  std::int64_t started = 0;  // participants that were sent this round's model
  std::int64_t arrived = 0;  // of them, whose update is held
  std::int64_t lost = 0;     // of them, who left or were refused
  bool deadline_passed = false;
};

// When a round's updates are enough to commit. Pure: no state, no clock.
class SyncPolicy {
 public:
  virtual ~SyncPolicy() = default;
  virtual bool ready(const Progress& progress) const = 0;
};

// `sync.mode`.
const Registry<SyncPolicy>& sync_policies();

}  // namespace gossamer
