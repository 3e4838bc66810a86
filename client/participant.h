#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/client.h"
#include "client/client_states.h"
#include "client/state_folder.h"
#include "comms/parcel.h"
#include "comms/transport.h"
#include "core/checkpoint_schedule.h"
#include "privacy/privacy_ledger.h"

namespace gossamer {

// A process's part in a federation: the clients that live in it, what they keep, and the loop that answers a
// coordinator over a transport. Used by one thread.
class Participant {
 public:
  // `options` and `data` outlive the participant. Throws ConfigError where clients that exchange on request
  // are to keep what they have in client.state_dir.
  Participant(const Options& options, const FederatedData& data);

  // Answers a model. A round that was answered already is answered with the same bytes, not trained
  // again; a coordinator that went back to its checkpoint is followed there.
  // Throws WorkCalledOff where `called_off` says so in between. With privacy.placement = client or example a
  // client does not answer beyond privacy.target_epsilon, however often it is asked: that is the
  // coordinator's fault.
  Result<Parcel> answer(const Parcel& models, std::function<bool()> called_off = {});

  // Registers `clients` (or one, if kUnassignedClient, whose id the server gives) with rank 0 and serves
  // rounds until the coordinator says that the run is over; returns its reason. Connections that break are
  // made again; after `patience` without a word from the server, and where it says that the run failed:
  // RunError. A refusal is a ConfigError. `stop_requested` is asked between frames. Where the server has
  // several shards, `transport` has shard s as rank s, once `reach` (where there is one) has been told where
  // they are.
  using Reach = std::function<void(ClientId client, const std::vector<std::string>& addresses)>;
  std::string serve(Transport& transport, std::vector<ClientId> clients, std::chrono::seconds patience,
                    const std::function<bool()>& stop_requested, const Reach& reach = {});

  // sync.pull = on_request: the local training that follows the answer to this model.
  void go_on(const FrameHeader& model, std::function<bool()> called_off = {});

  ClientStates& states() noexcept { return states_; }
  Model& model() noexcept { return client_.model(); }

 private:
  bool may_release(ClientId client, Round round);
  ClientState* state_of(ClientId client) { return client_.keeps_state() ? &states_.borrow(client) : nullptr; }
  bool has_answered(const FrameHeader& model) const;
  // False where the client has left, and has to register again.
  bool serve_model(Transport& transport, const Parcel& models, std::size_t clients);
  void register_clients(Transport& transport, Rank shard, const std::vector<ClientId>& clients);
  void welcomed(const Frame& frame);
  void keep(Round round);
  Result<Message> next(Transport& transport, Transport::Clock::time_point deadline);
  bool is_over(Transport& transport, const FrameHeader& work);
  bool rewind_to(Round round);
  void look_back(ClientId client, Round round);

  const Options& options_;
  Client client_;
  ClientStates states_;
  bool saves_state_;
  bool on_request_;
  bool lockstep_;
  CheckpointSchedule schedule_;
  // Where this process's states are saved beside the coordinator's checkpoints, if it shares a file system.
  std::optional<std::filesystem::path> checkpoint_dir_;
  std::string owner_;
  std::deque<Result<Message>> set_aside_;  // what came in while this process trained
  Transport::Clock::time_point last_look_{};
  std::uint64_t attempt_;               // to register: another one for each start and each connection
  std::map<ClientId, Parcel> answers_;  // the last one of each client
  ParcelAssembly models_;
  std::optional<PrivacyLedger> ledger_;  // of this process's clients, since it began
  std::map<Round, ByteBuffer> kept_;     // states at the last two checkpoints, as these hold them
  // In place of all that, where clients have a folder of their own.
  std::optional<StateFolder> folder_;
  std::map<ClientId, Round> looked_back_;  // the last round that a client was asked for
};

}  // namespace gossamer
