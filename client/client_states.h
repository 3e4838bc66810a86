#pragma once

#include <map>

#include "client/trainers/trainer.h"
#include "core/checkpoint.h"

namespace gossamer {

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
