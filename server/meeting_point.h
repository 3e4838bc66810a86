#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "comms/transport.h"
#include "server/peer_recorder.h"

namespace gossamer {

// The driver of `gossamer server` where peers train without one: it introduces them to one another, once all
// data.clients have come and said where they listen, and then keeps the run. One thread.
class MeetingPoint {
 public:
  // All references outlive it. A peer that is silent for `client_timeout` is lost (transport.h).
  MeetingPoint(const Options& options, Transport& transport);

  // Runs to the end and tells the peers; returns what ended the run. Throws RunError where it failed.
  std::string run(PeerCoordinator& coordinator, RunKeeper& keeper,
                  const std::function<bool()>& stop_requested);

 private:
  using Clock = Transport::Clock;
  struct Guest {
    Rank rank = 0;
    std::string address;  // empty until it has said so
  };

  void handle(const Message& message);
  void admit(const Message& message);
  void introduce();
  void lose(Rank rank, const std::string& reason);
  void ping();
  ClientId id_for(const Message& message) const;

  const Options& options_;
  Transport& transport_;
  std::uint64_t run_id_;
  PeerCoordinator* coordinator_ = nullptr;
  std::optional<PeerRecorder> recorder_;
  std::map<ClientId, Guest> guests_;
  bool introduced_ = false;
  Clock::time_point last_ping_{};
};

}  // namespace gossamer
