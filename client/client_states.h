#pragma once

#include <map>

#include "client/trainers/trainer.h"
#include "core/checkpoint.h"

namespace gossamer {

// Whether a checkpoint holds what clients keep. Where they exchange on request, they are in the middle of
// their training at any time, and the clients of a resumed run start at the centre again. Clients in
// processes of their own are at the server's round in lockstep only; otherwise what they leave out before a
// resumed run is lost.
bool saves_client_state(const Options& options, bool in_one_process);

// What one client keeps from round to round. Travels in checkpoints, never over the network.
struct ClientState {
  TrainingState training;
  FloatBuffer compression;  // what its compressors left out; empty until its first round
};

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
