#include "comms/latency_transport.h"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <utility>

namespace gossamer {
namespace {

class LatencyTransport final : public Transport {
 public:
  LatencyTransport(std::unique_ptr<Transport> transport, std::chrono::nanoseconds latency)
      : transport_(std::move(transport)), latency_(latency) {
    if (latency < latency.zero()) throw std::logic_error("make_latency_transport: a latency below 0");
  }

  Rank self() const noexcept override { return transport_->self(); }
  std::string endpoint() const override { return transport_->endpoint(); }

  Result<Message> receive(Clock::time_point deadline) override {
    for (;;) {
      if (!held_.empty() && held_.front().due <= Clock::now()) {
        Result<Message> first = std::move(held_.front().item);
        held_.pop_front();
        return first;
      }
      auto item = transport_->receive(held_.empty() ? deadline : std::min(deadline, held_.front().due));
      // Every frame is counted on both sides; what more there is, the transport has sent on its own.
      count_control(transport_->traffic().control_bytes - traffic().control_bytes);
      if (!item && item.fault().kind == FaultKind::timeout) {
        const Clock::time_point now = Clock::now();
        if (now >= deadline && (held_.empty() || held_.front().due > now)) return item;
        continue;
      }
      if (item && item.value().from == self()) return item;
      Clock::time_point due = (item ? item.value().arrived : Clock::now()) + latency_;
      if (!held_.empty()) due = std::max(due, held_.back().due);
      held_.push_back({due, std::move(item)});
    }
  }

  Result<std::monostate> flush(Clock::time_point deadline) override { return transport_->flush(deadline); }

 private:
  struct Held {
    Clock::time_point due;
    Result<Message> item;
  };

  Result<std::monostate> send_frame(Rank to, const Frame& frame) override {
    return transport_->send(to, frame);
  }

  std::unique_ptr<Transport> transport_;
  Clock::duration latency_;
  std::deque<Held> held_;  // on its way, in the order in which it is due
};

}  // namespace

std::unique_ptr<Transport> make_latency_transport(std::unique_ptr<Transport> transport,
                                                  std::chrono::nanoseconds latency) {
  return std::make_unique<LatencyTransport>(std::move(transport), latency);
}

}  // namespace gossamer
