#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <vector>

#include "comms/transport.h"

namespace gossamer {

// Everything that will arrive is in the inbox; an empty one is silence.
class ScriptedTransport final : public Transport {
 public:
  Rank self() const noexcept override { return 0; }
  Result<Message> receive(Clock::time_point deadline) override {
    asked.push_back(deadline);
    if (inbox.empty()) return Fault{FaultKind::timeout, "nothing arrived"};
    Result<Message> next = std::move(inbox.front());
    inbox.pop_front();
    return next;
  }
  Result<std::monostate> flush(Clock::time_point) override { return std::monostate{}; }
  void send_heartbeat() { count_control(kFrameHeaderBytes); }  // as transports do on their own

  std::int64_t count(FrameType type, Rank to) const {
    return std::ranges::count_if(sent, [&](const Message& message) {
      return message.frame.header.type == type && message.from == to;
    });
  }

  std::deque<Result<Message>> inbox;
  std::vector<Clock::time_point> asked;  // deadlines
  std::vector<Message> sent;             // `from` is the receiver
  std::function<void(const Frame&)> on_send;

 private:
  Result<std::monostate> send_frame(Rank to, const Frame& frame) override {
    sent.push_back({to, frame});
    if (on_send) on_send(frame);
    return std::monostate{};
  }
};

}  // namespace gossamer
