#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>

#include "comms/transport.h"
#include "core/shard_plan.h"
#include "server/shard.h"

namespace gossamer {

// A shard in a process of its own: clients bring it their parts and get its range from it, when shard 0,
// which is rank 0 of the transport, says so. One thread.
class ShardProcess {
 public:
  // All references outlive it. Throws ConfigError where the model is too small for so many shards.
  ShardProcess(const Options& options, const Parameters& initial, std::size_t shard, Transport& transport);

  // Registers with shard 0, which tells clients that this shard is at `address`, and serves until shard 0
  // says that the run is over; returns its reason. RunError where shard 0 is lost, or silent for `patience`,
  // or says that the run failed. ConfigError on a refusal.
  std::string run(const std::string& address, std::chrono::duration<double> patience,
                  const std::function<bool()>& stop_requested);

 private:
  using Clock = Transport::Clock;
  struct Link {
    Rank rank;
    std::uint64_t attempt;
  };

  void handle(const Message& message);
  void obey(const Frame& frame);
  void admit(const Message& message);
  void take(const Message& message);
  void send_model(const Shard::Model& model);
  void lose(Rank rank);
  void tell(const Frame& frame);

  const Options& options_;
  const ParameterLayout& layout_;  // of the whole model
  const std::uint64_t run_id_;
  const ClientId id_;
  const std::size_t number_;
  Transport& transport_;
  Shard shard_;
  std::string address_;
  std::map<ClientId, Link> clients_;
  Frame model_;  // the last one that was sent: often the next one's too
  std::uint64_t bytes_down_ = 0, bytes_up_ = 0;
  bool welcome_ = false;
  std::optional<std::string> end_;
};

}  // namespace gossamer
