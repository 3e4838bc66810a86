#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <zmq.hpp>

#include "comms/zmq_transport.h"

// The two ends of a ZeroMQ connection as the transport's I/O thread sees them. Used by zmq_transport.cpp
// only.
namespace gossamer {

// How many frames were accepted by send() and have not left this process.
class Departures {
 public:
  void add() {
    const std::lock_guard lock(mutex_);
    ++waiting_;
  }
  void remove() {
    const std::lock_guard lock(mutex_);
    if (--waiting_ == 0) none_.notify_all();
  }
  bool wait(Transport::Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    return none_.wait_until(lock, deadline, [this] { return waiting_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable none_;
  std::size_t waiting_ = 0;
};

// Held by everything that still needs the frame; the last holder lets it go.
class Departure {
 public:
  explicit Departure(std::shared_ptr<Departures> all) : all_(std::move(all)) { all_->add(); }
  ~Departure() { all_->remove(); }
  Departure(const Departure&) = delete;
  Departure& operator=(const Departure&) = delete;

 private:
  std::shared_ptr<Departures> all_;
};

struct Outgoing {
  Rank to = 0;
  Frame frame;
  std::shared_ptr<const Departure> departure;
};

using Sink = std::function<void(Result<Message>)>;

enum class Sent { yes, blocked, gone };

// One end's socket. Made on the caller's thread, then used by the I/O thread only. All calls return at once.
class Wire {
 public:
  virtual ~Wire() = default;

  virtual Rank self() const noexcept = 0;
  virtual std::string endpoint() const = 0;
  virtual Sent write(const Outgoing& outgoing) = 0;
  // Hands the next message, or the reason why it was dropped, to the sink. False where none waits.
  virtual bool read(const Sink& sink) = 0;
  // Connections come and go: note_events() learns of it, report_losses() says so, once everything that those
  // peers had sent before has been read.
  virtual void note_events() = 0;
  virtual void report_losses(const Sink& sink) = 0;
  virtual zmq::socket_t& socket() noexcept = 0;
  virtual zmq::socket_t& monitor() noexcept = 0;
  // Does the socket say when a blocked write may go on?
  virtual bool tells_writable() const noexcept = 0;
};

// Throw as make_zmq_server() and make_zmq_client() say.
std::unique_ptr<Wire> make_router_wire(zmq::context_t& context, const ZmqServerSettings& settings);
std::unique_ptr<Wire> make_dealer_wire(zmq::context_t& context, const ZmqClientSettings& settings);

}  // namespace gossamer
