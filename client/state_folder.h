#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "client/client_state.h"
#include "core/checkpoint_schedule.h"
#include "core/options.h"
#include "core/types.h"

namespace gossamer {

// client.state_dir: what clients keep after each of their rounds, on a disk of their own, so that a process
// that is started again goes on with it in any topology and sync mode. A file a client and round. Those of
// its last two rounds stay, since the update of the last one may not have arrived, and those of the last two
// rounds that the coordinator saved at, to which it may go back. Not thread-safe.
class StateFolder {
 public:
  // Files of a run with another configuration are passed over.
  StateFolder(const Options& options, std::filesystem::path folder);

  // What the client keeps after `round`; what was there of that round and later is void. Throws RunError
  // where it cannot be written, and then what was there before is whole.
  void save(ClientId client, Round round, const ClientState& state) const;
  // What the client kept before it worked on `round`: of the newest file of an earlier round. None where
  // there is none; one that cannot be read is logged as a warning and passed over.
  std::optional<ClientState> before(Round round, ClientId client) const;

 private:
  std::filesystem::path folder_of(ClientId client) const;

  std::filesystem::path folder_;
  std::uint64_t run_;
  CheckpointSchedule schedule_;
};

}  // namespace gossamer
