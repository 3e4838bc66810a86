#include "comms/zmq_transport.h"

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "comms/bell.h"
#include "comms/codec.h"
#include "comms/zmq_wire.h"
#include "core/error.h"

namespace gossamer {
namespace {

// How often a frame is offered again to a peer whose queue inside libzmq is full: a ROUTER does not say when
// it has room again.
constexpr std::chrono::milliseconds kRetryInterval{2};
// Then writing gets its turn.
constexpr int kReadsPerTurn = 64;

class ZmqTransport final : public Transport {
 public:
  using MakeWire = std::function<std::unique_ptr<Wire>(zmq::context_t&)>;

  ZmqTransport(const ZmqLimits& limits, std::chrono::milliseconds keep_alive,
               std::shared_ptr<Arrivals> arrivals, const MakeWire& make_wire)
      : limits_(limits),
        keep_alive_(keep_alive),
        arrivals_(std::move(arrivals)),
        wire_(make_wire(context_)),
        self_(wire_->self()),
        endpoint_(wire_->endpoint()) {
    if (!is_server()) connected_.insert(0);
    // Signals belong to the program's own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::jthread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  ~ZmqTransport() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    bell_.ring();
    thread_.join();
  }

  Rank self() const noexcept override { return self_; }
  std::string endpoint() const override { return endpoint_; }

  Result<Message> receive(Clock::time_point deadline) override {
    std::unique_lock lock(mutex_);
    arrived_.wait_until(lock, deadline, [this] { return !inbox_.empty() || failure_; });
    count_control(std::exchange(kept_alive_bytes_, 0));
    if (inbox_.empty()) {
      if (failure_) std::rethrow_exception(failure_);
      return Fault{FaultKind::timeout, "nothing arrived"};
    }
    const bool was_full = inbox_full();
    Result<Message> next = std::move(inbox_.front());
    inbox_.pop_front();
    if (next) inbox_bytes_ -= next.value().frame.wire_bytes();
    if (was_full && !inbox_full()) bell_.ring();
    return next;
  }

  Result<std::monostate> flush(Clock::time_point deadline) override {
    if (departures_->wait(deadline)) return std::monostate{};
    return Fault{FaultKind::timeout, "frames are still waiting to leave"};
  }

 private:
  bool is_server() const noexcept { return self_ == 0; }

  Result<std::monostate> send_frame(Rank to, const Frame& frame) override {
    {
      const std::lock_guard lock(mutex_);
      if (failure_) std::rethrow_exception(failure_);
      if (to == self_) {
        deliver(Message{self_, frame});
        return std::monostate{};
      }
      if (!connected_.contains(to)) {
        return Fault{FaultKind::disconnected, "rank " + std::to_string(to) + " is not connected", to};
      }
      if (queued_[to] >= limits_.queue_frames) {
        return Fault{FaultKind::timeout, "rank " + std::to_string(to) + ": its queue is full", to};
      }
      ++queued_[to];
      outbox_.push_back({to, frame, std::make_shared<const Departure>(departures_)});
    }
    bell_.ring();
    return std::monostate{};
  }

  // Callers of the next three hold mutex_.
  bool inbox_full() const noexcept {
    return inbox_.size() >= limits_.queue_frames || inbox_bytes_ >= limits_.queue_bytes;
  }

  void deliver(Result<Message> item) {
    if (item) inbox_bytes_ += item.value().frame.wire_bytes();
    inbox_.push_back(std::move(item));
    tell_receiver();
  }

  void tell_receiver() {
    arrived_.notify_one();
    if (arrivals_) arrivals_->note();
  }

  // Everything below runs on the I/O thread.
  void run() noexcept {
    try {
      while (step()) {
      }
    } catch (const zmq::error_t& error) {
      fail(std::make_exception_ptr(TransportError(std::string("ZeroMQ: ") + error.what())));
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fail(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    failure_ = std::move(failure);
    tell_receiver();
  }

  // Writes what can be written, reads what can be read, waits for more of either. False at the end.
  bool step() {
    bell_.clear();
    std::deque<Outgoing> fresh;
    bool stopping = false;
    {
      const std::lock_guard lock(mutex_);
      fresh.swap(outbox_);
      stopping = stopping_;
    }
    for (Outgoing& outgoing : fresh) waiting_[outgoing.to].push_back(std::move(outgoing));
    keep_alive();
    write_waiting();
    if (stopping) return false;
    const bool room = read_some();
    wait(room);
    return true;
  }

  // A peer that has frames of its own waiting hears from us by those.
  void keep_alive() {
    if (keep_alive_ == keep_alive_.zero() || Clock::now() < next_keep_alive_) return;
    next_keep_alive_ = Clock::now() + keep_alive_;
    const Frame heartbeat = encode_signal(FrameType::heartbeat, 0, 0);
    const std::lock_guard lock(mutex_);
    for (const Rank rank : connected_) {
      if (queued_[rank] > 0) continue;
      ++queued_[rank];
      kept_alive_bytes_ += heartbeat.wire_bytes();
      waiting_[rank].push_back({rank, heartbeat, std::make_shared<const Departure>(departures_)});
    }
  }

  void write_waiting() {
    for (auto& [rank, frames] : waiting_) {
      Sent sent = Sent::yes;
      std::size_t written = 0;
      for (; !frames.empty(); ++written) {
        sent = wire_->write(frames.front());
        if (sent != Sent::yes) break;
        frames.pop_front();
      }
      if (sent == Sent::gone) {
        gone_.insert(rank);
        written += frames.size();
        frames.clear();
      }
      const std::lock_guard lock(mutex_);
      queued_[rank] -= written;
    }
    std::erase_if(waiting_, [](const auto& queue) { return queue.second.empty(); });
  }

  // False where the inbox has no room for more. Stops now and then so that writing gets its turn.
  bool read_some() {
    const Sink sink = [this](Result<Message> item) { accept(std::move(item)); };
    wire_->note_events();
    for (int count = 0; count < kReadsPerTurn; ++count) {
      {
        const std::lock_guard lock(mutex_);
        if (inbox_full()) return false;
      }
      if (!wire_->read(sink)) {
        report_losses(sink);
        break;
      }
    }
    return true;
  }

  void report_losses(const Sink& sink) {
    wire_->report_losses(sink);
    for (const Rank rank : std::exchange(gone_, {})) {
      accept(Fault{FaultKind::disconnected, "rank " + std::to_string(rank) + " is not there any more", rank});
    }
  }

  void accept(Result<Message> item) {
    const std::lock_guard lock(mutex_);
    if (item) {
      connected_.insert(item.value().from);
      gone_.erase(item.value().from);
    } else if (item.fault().kind == FaultKind::disconnected) {
      const Rank peer = item.fault().peer;
      waiting_.erase(peer);
      std::erase_if(outbox_, [&](const Outgoing& outgoing) { return outgoing.to == peer; });
      queued_.erase(peer);
      // A client's connection comes back by itself; a server waits for the client to speak again.
      if (is_server() && connected_.erase(peer) == 0) return;
    }
    deliver(std::move(item));
  }

  void wait(bool room) {
    short events = room ? ZMQ_POLLIN : 0;
    std::chrono::milliseconds patience{-1};
    if (!waiting_.empty()) {
      if (wire_->tells_writable()) {
        events |= ZMQ_POLLOUT;
      } else {
        patience = kRetryInterval;
      }
    }
    if (keep_alive_ > keep_alive_.zero()) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next_keep_alive_ - Clock::now());
      const auto until = std::max(left, std::chrono::milliseconds{0});
      patience = patience.count() < 0 ? until : std::min(patience, until);
    }
    std::array<zmq::pollitem_t, 3> items{{{wire_->socket().handle(), 0, events, 0},
                                          {wire_->monitor().handle(), 0, ZMQ_POLLIN, 0},
                                          {nullptr, bell_.fd(), ZMQ_POLLIN, 0}}};
    try {
      zmq::poll(items.data(), items.size(), patience);
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
  }

  const ZmqLimits limits_;
  const std::chrono::milliseconds keep_alive_;
  const std::shared_ptr<Arrivals> arrivals_;
  const std::shared_ptr<Departures> departures_ = std::make_shared<Departures>();
  Bell bell_;
  zmq::context_t context_;
  std::unique_ptr<Wire> wire_;  // the I/O thread's, while that runs
  const Rank self_;
  const std::string endpoint_;

  std::mutex mutex_;  // guards what both threads use: up to failure_
  std::condition_variable arrived_;
  std::deque<Outgoing> outbox_;
  std::deque<Result<Message>> inbox_;
  std::uint64_t inbox_bytes_ = 0;
  std::unordered_set<Rank> connected_;
  std::unordered_map<Rank, std::size_t> queued_;  // frames in outbox_ and waiting_
  std::uint64_t kept_alive_bytes_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;

  // The I/O thread's own: taken from outbox_ but not yet written; found missing when written to.
  std::map<Rank, std::deque<Outgoing>> waiting_;
  std::unordered_set<Rank> gone_;
  Clock::time_point next_keep_alive_{};
  std::jthread thread_;  // last, so that it sees all the others
};

}  // namespace

std::unique_ptr<Transport> make_zmq_server(const ZmqServerSettings& settings) {
  return std::make_unique<ZmqTransport>(
      settings.limits, settings.keep_alive, settings.arrivals,
      [&](zmq::context_t& context) { return make_router_wire(context, settings); });
}

std::unique_ptr<Transport> make_zmq_client(const ZmqClientSettings& settings) {
  return std::make_unique<ZmqTransport>(
      settings.limits, std::chrono::milliseconds{0}, settings.arrivals,
      [&](zmq::context_t& context) { return make_dealer_wire(context, settings); });
}

}  // namespace gossamer
