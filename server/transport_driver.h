#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comms/transport.h"
#include "server/coordinator.h"
#include "server/run_keeper.h"

namespace gossamer {

// Clients that live in the coordinator's own process. Their frames take the same way through the codec.
struct LocalClients {
  std::vector<ClientId> clients;
  std::function<Result<Frame>(const Frame&)> answer;  // trains; empty where there are none
};

struct TransportDriverSettings {
  // Peers can vanish without a word, so they are pinged, and lost after this silence. None where somebody
  // else watches over them (mpirun).
  std::optional<std::chrono::duration<double>> client_timeout;
  // Told to clients that share this file system, so that what they keep is saved beside the checkpoints.
  std::string shared_checkpoint_dir;
};

// The driver of the coordinator over a transport, for MPI ranks and ZeroMQ clients alike. One thread.
class TransportDriver {
 public:
  // All references outlive the driver.
  TransportDriver(const Options& options, Transport& transport, LocalClients local,
                  TransportDriverSettings settings);

  // Runs to the end and tells the clients; returns what ended the run, as summary.json's stopped_by says it.
  // Throws RunError where the run could not finish (and says who was lost).
  std::string run(Coordinator& coordinator, RunKeeper& keeper, const std::function<bool()>& stop_requested);

 private:
  using Clock = Transport::Clock;
  struct Peer {
    Rank rank = 0;
    Clock::time_point last_heard;
  };

  void perform(const Actions& actions);
  void start(const SendModel& send);
  void call_off(const Abandon& abandon);
  void train_one_local_client();
  void handle(const Message& message);
  void admit(const Message& message);
  void handle_update(const Frame& frame);
  void lose_rank(Rank rank, const std::string& reason);
  void watch_peers();
  void say_goodbye(const std::string& reason);
  ClientId free_client() const;
  void count_control();
  Seconds now() const;

  const Options& options_;
  Transport& transport_;
  LocalClients local_;
  TransportDriverSettings settings_;
  std::uint64_t run_id_;

  // Set by run().
  Coordinator* coordinator_ = nullptr;
  RunKeeper* keeper_ = nullptr;
  Clock::time_point start_;
  Seconds time_offset_ = 0;
  std::map<ClientId, Peer> peers_;
  std::vector<Frame> local_work_;
  std::optional<std::pair<Round, Seconds>> deadline_;
  Clock::time_point last_ping_;
  std::uint64_t control_counted_ = 0;
  std::optional<Finish> finish_;
};

}  // namespace gossamer
