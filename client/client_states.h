#pragma once

#include <map>

#include "client/trainers/trainer.h"
#include "core/checkpoint.h"

namespace gossamer {

// Whether a checkpoint holds what clients keep: in lockstep. Where they exchange on request, they are in the
// middle of their training at any time, and the clients of a resumed run start at the centre again.
bool saves_client_state(const Options& options);

// What the clients of one process keep from round to round. Pointers that of() gave out stay valid until
// load(). Not thread-safe, but the states of different clients may be used by different threads.
class ClientStates {
 public:
  ClientState& of(ClientId client) { return states_[client]; }

  // Sections "client <id> <index>"; load() replaces what is held.
  void save(CheckpointWriter& writer) const;
  void load(const CheckpointReader& reader);

 private:
  std::map<ClientId, ClientState> states_;
};

}  // namespace gossamer
