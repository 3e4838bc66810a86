#pragma once

#include <functional>
#include <optional>
#include <string>

#include "server/peer_coordinator.h"
#include "server/run_keeper.h"

namespace gossamer {

// Keeps the run of peers: turns what the coordinator wants into frames for them and their frames into events
// for it. The same in simulation, under MPI (on rank 0) and over ZeroMQ (in `gossamer server`). One thread.
class PeerRecorder {
 public:
  using Send = std::function<void(ClientId, const Frame&)>;
  // All references outlive it. `send` queues a frame for a peer; `now` is the driver's clock.
  PeerRecorder(const Options& options, PeerCoordinator& coordinator, RunKeeper& keeper, Send send,
               std::function<Seconds()> now);

  void join(ClientId client);
  void leave(ClientId client, const std::string& reason);
  // A report, a state or a leave. What it is not is dropped.
  void take(const Frame& frame);
  void stop();

  // Set once the run is over; the peers have been told.
  const std::optional<Finish>& end() const noexcept { return end_; }

 private:
  void perform(PeerActions actions);
  void perform(const Grant& grant);
  void tell(ClientId client, const Frame& frame);

  PeerCoordinator& coordinator_;
  RunKeeper& keeper_;
  Send send_;
  std::function<Seconds()> now_;
  std::uint64_t run_id_;
  bool began_ = false;
  std::optional<Finish> end_;
};

}  // namespace gossamer
