#pragma once

#include "core/registry.h"
#include "core/types.h"

namespace gossamer {

// What a policy may know of the round under way.
struct Progress {
  Round round = 0;
  std::int64_t started = 0;  // participants at work in this round
  std::int64_t arrived = 0;  // updates that came in
  std::int64_t lost = 0;     // participants who left, were refused or gave up
  std::int64_t needed = 0;   // lockstep: updates that complete the round
  bool deadline_passed = false;
  // Where everybody goes on by itself:
  std::int64_t pending = 0;  // updates that came in and have not changed the model yet
  std::int64_t applied = 0;  // updates of this round that have
  std::int64_t workers = 0;  // clients that are present
  Round slowest = 0;         // rounds of work that even the slowest of them has completed
};

// When work may start and when it makes a new model. Pure: no state, no clock.
//
// In lockstep, a cohort starts a round together and its updates are held until the policy is ready. Otherwise
// every worker goes on by itself: its clock counts its own rounds of work, updates become part of the model
// when the policy says apply(), and a round of the run is over when it is ready().
class SyncPolicy {
 public:
  virtual ~SyncPolicy() = default;
  virtual bool lockstep() const { return false; }
  // Lockstep: how many more than the cohort are started.
  virtual std::int64_t backups() const { return 0; }
  // Lockstep: whether work that comes too late is called off (otherwise it goes on, and its outcome is
  // dropped).
  virtual bool cancels_late_work() const { return true; }
  // Whether all clients work all the time, rather than a changing cohort.
  virtual bool everybody_works() const { return false; }

  virtual bool ready(const Progress& progress) const = 0;
  // A worker that has completed `clock` rounds of work may go on.
  virtual bool may_start(const Progress& progress, Round clock) const {
    static_cast<void>(progress), static_cast<void>(clock);
    return true;
  }
  virtual bool apply(const Progress& progress) const { return progress.pending > 0; }
  // What the sum of the pending updates is divided by.
  virtual double denominator(const Progress& progress) const {
    static_cast<void>(progress);
    return 1;
  }
};

// `sync.mode`.
const Registry<SyncPolicy>& sync_policies();

}  // namespace gossamer
