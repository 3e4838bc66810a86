#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "comms/transport.h"
#include "server/edge_aggregator.h"

namespace gossamer {

// An aggregator's connection to its parent, on which it is a client. One thread.
class ParentLink {
 public:
  using Clock = Transport::Clock;

  // `transport` (to rank 0) and `aggregator` (whose id is `self`) outlive it. After `patience` without a word
  // the parent is given up.
  ParentLink(const Options& options, Transport& transport, EdgeAggregator& aggregator, ClientId self,
             std::chrono::duration<double> patience);

  // Whether the aggregator has nothing to do but to wait for its parent.
  bool is_awaited() const noexcept { return aggregator_.waits_for_parent(); }
  // Registers where that is to be done, and hears one frame, or none by the deadline. Returns what the
  // aggregator asks for; a Finish where the run is over, or the parent is given up. Throws ConfigError on a
  // refusal.
  Actions listen(Clock::time_point deadline, Seconds now);
  void send(const CompressedUpdate& update);
  // The aggregator ends: tells the parent, unless it is it who said so.
  void say_goodbye(const std::string& reason);

 private:
  Actions take(const Frame& frame, Seconds now);
  void start_anew(const std::string& why);

  const Options& options_;
  Transport& transport_;
  EdgeAggregator& aggregator_;
  const ClientId self_;
  const std::chrono::duration<double> patience_;
  std::uint64_t attempt_;
  bool welcome_ = false;
  bool over_ = false;
  Clock::time_point last_heard_ = Clock::now();
  Clock::time_point last_hello_{};
};

}  // namespace gossamer
