#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>

#include "comms/frame.h"
#include "core/registry.h"
#include "core/result.h"

namespace gossamer {

// What entered Transport::send(), by kind of frame: header and payload. Under control_bytes also what a
// transport sends on its own, counted at the next receive().
struct Traffic {
  std::uint64_t model_bytes = 0;
  std::uint64_t update_bytes = 0;
  std::uint64_t control_bytes = 0;

  void count(const Frame& frame) noexcept;
};

struct Message {
  Rank from = 0;
  Frame frame;  // the payload is aligned as the sender's transport left it: not at all, in general
  // When it was complete here; over MPI, which moves nothing between calls, when a call found it.
  std::chrono::steady_clock::time_point arrived = std::chrono::steady_clock::now();
};

// Frames between processes. The coordinator is rank 0. All members are called from one thread (the one that
// made the transport); what threads an implementation runs inside is its own affair.
class Transport {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~Transport() = default;

  virtual Rank self() const noexcept = 0;
  // Where it listens or connects to, for people: "tcp://127.0.0.1:5555".
  virtual std::string endpoint() const { return {}; }

  // Queues the frame and never waits for the peer. `disconnected` where the peer is known to be gone,
  // `timeout` where its queue is full; the frame is then dropped. A frame to oneself is received like any
  // other.
  Result<std::monostate> send(Rank to, const Frame& frame) {
    traffic_.count(frame);
    return send_frame(to, frame);
  }
  // The next frame, in the order of arrival per peer. `timeout` at the deadline; `malformed` for a frame that
  // was dropped (once a frame; the reason says why); `disconnected` once for each loss of a peer, after the
  // frames that it sent before. Fault::peer is the rank, where known. Never blocks past the deadline.
  virtual Result<Message> receive(Clock::time_point deadline) = 0;
  // Waits until everything that was queued has left this process, or the deadline has passed.
  virtual Result<std::monostate> flush(Clock::time_point deadline) = 0;

  const Traffic& traffic() const noexcept { return traffic_; }

 protected:
  // What an implementation sends on its own.
  void count_control(std::uint64_t bytes) noexcept { traffic_.control_bytes += bytes; }

 private:
  virtual Result<std::monostate> send_frame(Rank to, const Frame& frame) = 0;
  Traffic traffic_;
};

}  // namespace gossamer
