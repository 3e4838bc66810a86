#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <variant>

#include "comms/collectives/link.h"
#include "core/buffers.h"
#include "core/result.h"

namespace gossamer {

// Before each message on its way: its length.
inline constexpr std::size_t kMessagePrefixBytes = sizeof(std::uint64_t);

// One rank's part of a collective of whole messages, whose length only their sender knows. What the routes
// call a chunk is a message; how one is combined with what is there already is the handler's affair.
class MessageHandler {
 public:
  virtual ~MessageHandler() = default;
  // The longest message that take() may be given.
  virtual std::size_t most_bytes() const noexcept = 0;
  // Asked for once, when the stage begins, for each send in the order of the routes.
  virtual SharedBytes outgoing(std::size_t stage, const Send& send) = 0;
  // In the order of the routes. A fault ends the collective.
  virtual Result<std::monostate> take(std::size_t stage, const Receive& receive, SharedBytes message) = 0;
};

// Passes messages along routes over a link, which it takes over: stage by stage, in segments. One thread: the
// one that made it. A peer's fault is final: every later call returns it.
class MessageExchange {
 public:
  using Clock = Link::Clock;
  explicit MessageExchange(std::unique_ptr<Link> link);
  ~MessageExchange();
  MessageExchange(const MessageExchange&) = delete;
  MessageExchange& operator=(const MessageExchange&) = delete;

  Rank self() const noexcept;
  int world_size() const noexcept;

  // All ranks start the same collectives in the same order. Both references outlive it.
  void start(const Routes& routes, MessageHandler& handler);
  // Does what can be done at once: whether the collective is complete, and its messages have left.
  Result<bool> progress();
  // Of the collective that was started last, with prefixes.
  ExchangeBytes bytes() const noexcept;

 private:
  class State;
  std::unique_ptr<State> state_;
};

// The collective of all ranks in one process: routes[r] and handlers[r] are rank r's. `sent` hears of every
// message, in the order of stages and ranks, and `ended` of the end of each stage. Throws std::logic_error
// for routes that do not fit together; a handler's fault ends it.
Result<std::monostate> exchange_in_process(
    std::span<const Routes> routes, std::span<MessageHandler* const> handlers,
    const std::function<void(Rank from, Rank to, std::size_t bytes)>& sent,
    const std::function<void()>& ended);

}  // namespace gossamer
