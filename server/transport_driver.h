#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "comms/parcel.h"
#include "comms/transport.h"
#include "server/coordinator.h"
#include "server/parent_link.h"
#include "server/remote_shards.h"
#include "server/run_keeper.h"
#include "server/shard_gate.h"

namespace gossamer {

// Clients that live in the coordinator's own process. Their frames take the same way through the codec.
struct LocalClients {
  std::vector<ClientId> clients;
  std::function<Result<Parcel>(const Parcel&)> answer;  // trains; empty where there are none
  // sync.pull = on_request: trains on after the answer to this model; otherwise empty.
  std::function<void(const FrameHeader&)> go_on;
};

struct TransportDriverSettings {
  // Peers come and go by themselves, so at the end of the run they are waited for, at most so long, until
  // they have gone. None where somebody else watches over them (mpirun).
  std::optional<std::chrono::duration<double>> farewell;
  // Told to clients that share this file system, so that what they keep is saved beside the checkpoints.
  std::string shared_checkpoint_dir;
  // Of a server whose further shards are behind the same transport; it outlives the driver.
  RemoteShards* shards = nullptr;
};

// The driver of the coordinator over a transport, for MPI ranks and ZeroMQ clients alike. One thread.
class TransportDriver {
 public:
  // All references outlive the driver.
  TransportDriver(const Options& options, Transport& transport, LocalClients local,
                  TransportDriverSettings settings);

  // Runs to the end and tells the clients; returns what ended the run, as summary.json's stopped_by says it.
  // Throws RunError where the run could not finish (and says who was lost).
  std::string run(Coordination& coordinator, RunKeeper& keeper, const std::function<bool()>& stop_requested);
  // The same for an aggregator, whose parent keeps the run.
  std::string run(EdgeAggregator& aggregator, ParentLink& parent,
                  const std::function<bool()>& stop_requested);

 private:
  using Clock = Transport::Clock;
  struct Peer {
    Rank rank = 0;
    std::uint64_t attempt = 0;  // of its hello; said again, that counts as one
  };

  std::string drive(const std::function<bool()>& stop_requested);
  std::string drive_to_end(const std::function<bool()>& stop_requested);
  void perform(const Actions& actions);
  void listen_to_parent(Clock::time_point& wake);
  void start(const SendModel& send);
  void call_off(const Abandon& abandon);
  bool has_local_work() const { return !local_work_.empty() || !local_training_.empty(); }
  void do_local_work();
  void handle(const Message& message);
  void admit(const Message& message);
  void join(ClientId client);
  void leave(ClientId client, const std::string& reason);
  void handle_update(const Frame& frame);
  void take_in(const CompressedUpdate& update);
  void ready(ClientId client);
  void lose_rank(Rank rank, const std::string& reason);
  void handle_shard(std::size_t shard, const Message& message);
  void begin(ClientId client);
  void introduce();
  void say_goodbye(const Finish& end);
  void wait_for_departures(const Finish& end);
  ClientId free_client() const;
  void count_control();
  Seconds now() const;

  const Options& options_;
  Transport& transport_;
  LocalClients local_;
  TransportDriverSettings settings_;
  std::uint64_t run_id_;
  ModelEncoder encoder_;

  // Set by run().
  Coordination* coordinator_ = nullptr;
  RunKeeper* keeper_ = nullptr;   // null for an aggregator
  ParentLink* parent_ = nullptr;  // null for who has none
  Clock::time_point start_;
  Seconds time_offset_ = 0;
  std::map<ClientId, Peer> peers_;
  ParcelAssembly local_models_;
  std::vector<Parcel> local_work_;
  std::optional<ShardGate> gate_;             // of a server in several shards
  std::set<ClientId> asked_;                  // who is ready before its update is whole
  std::deque<FrameHeader> local_training_;    // on_request: models that were answered
  std::map<ClientId, std::int64_t> updates_;  // taken in
  std::optional<std::pair<Round, Seconds>> deadline_;
  std::uint64_t control_counted_ = 0;
  std::optional<Finish> finish_;
};

}  // namespace gossamer
