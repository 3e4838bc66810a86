#pragma once

#include "core/options.h"
#include "core/types.h"

namespace gossamer {

// Which rounds end in a checkpoint. The coordinator and the clients that keep a state ask the same question
// of the same configuration, so that what they save belongs together.
class CheckpointSchedule {
 public:
  explicit CheckpointSchedule(const Options& options)
      : every_(options.integer("server.checkpoint_every")), rounds_(options.integer("run.rounds")) {}
  bool enabled() const noexcept { return every_ > 0; }
  bool due(Round round) const noexcept { return enabled() && (round % every_ == 0 || round == rounds_); }

 private:
  Round every_, rounds_;
};

}  // namespace gossamer
