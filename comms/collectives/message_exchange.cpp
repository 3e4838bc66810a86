#include "comms/collectives/message_exchange.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gossamer {

class MessageExchange::State {
 public:
  explicit State(std::unique_ptr<Link> link)
      : link_(std::move(link)), scratch_(link_->settings().segment_bytes) {}

  Link& link() noexcept { return *link_; }
  const ExchangeBytes& bytes() const noexcept { return bytes_; }

  void start(const Routes& routes, MessageHandler& handler) {
    if (routes_ != nullptr && stage_ < routes_->stages.size())
      throw std::logic_error("MessageExchange: a collective is under way");
    routes_ = &routes;
    handler_ = &handler;
    bytes_ = {};
    stage_ = 0;
    begin_stage();
  }

  Result<bool> progress() {
    if (fault_) return *fault_;
    bool any = false;
    for (bool moved = true; moved; any = any || moved) {
      moved = send_some();
      const auto received = receive_some();
      if (!received) fault_ = received.fault();
      if (fault_) return *fault_;
      moved = moved || received.value();
      if (in_stage() && stage_is_complete()) {
        ++stage_;
        begin_stage();
        moved = true;
      }
    }
    if (!in_stage() && !link_->owes()) return true;
    if (!any) {
      const auto going = link_->pause(awaited(), 0, Clock::time_point::min());
      if (!going) fault_ = going.fault();
      if (fault_) return *fault_;
    }
    return false;
  }

 private:
  struct Leaving {
    Rank to = 0;
    SharedBytes message;
    std::size_t sent = 0;  // of prefix and message
  };

  bool in_stage() const noexcept { return routes_ != nullptr && stage_ < routes_->stages.size(); }
  const Stage& stage() const noexcept { return routes_->stages[stage_]; }

  void begin_stage() {
    leaving_.clear();
    receive_ = 0;
    arrived_ = 0;
    if (!in_stage()) return;
    for (const Send& send : stage().sends) leaving_.push_back({send.to, handler_->outgoing(stage_, send), 0});
  }

  bool stage_is_complete() const noexcept {
    return receive_ == stage().receives.size() && std::ranges::all_of(leaving_, has_left);
  }
  static bool has_left(const Leaving& one) noexcept {
    return one.sent == kMessagePrefixBytes + one.message.size();
  }

  // A segment to each receiver who has room.
  bool send_some() {
    bool any = false;
    for (Leaving& one : leaving_) {
      if (has_left(one)) continue;
      const std::span<const std::byte> segment = next_segment(one);
      if (!link_->send(one.to, segment, false)) continue;
      one.sent += segment.size();
      bytes_.sent += segment.size();
      any = true;
    }
    return any;
  }

  // The first one is put together, the others are where the message is.
  std::span<const std::byte> next_segment(const Leaving& one) {
    const std::size_t most = link_->settings().segment_bytes;
    if (one.sent > 0) {
      const auto rest = one.message.bytes.subspan(one.sent - kMessagePrefixBytes);
      return rest.first(std::min(most, rest.size()));
    }
    const std::uint64_t length = one.message.size();
    const std::size_t part = std::min(most - kMessagePrefixBytes, one.message.size());
    std::memcpy(scratch_.data(), &length, sizeof length);
    if (part > 0) std::memcpy(scratch_.data() + sizeof length, one.message.bytes.data(), part);
    return {scratch_.data(), sizeof length + part};
  }

  // Segments of the message that is awaited.
  Result<bool> receive_some() {
    bool any = false;
    while (in_stage() && receive_ < stage().receives.size()) {
      const Receive& receive = stage().receives[receive_];
      std::span<const std::byte> segment = link_->front(receive.from);
      if (segment.empty()) break;
      any = true;
      bytes_.received += segment.size();
      if (const auto begun =
              arrived_ > 0 ? Result<std::monostate>(std::monostate{}) : begin(receive, segment);
          !begun)
        return begun.fault();
      const std::size_t fresh = arrived_ == 0 ? segment.size() - kMessagePrefixBytes : segment.size();
      const std::size_t taken = arrived_ == 0 ? 0 : arrived_ - kMessagePrefixBytes;
      if (fresh > message_.size() - taken) return wrong(receive, "more bytes than it has announced");
      std::copy_n(segment.end() - static_cast<std::ptrdiff_t>(fresh), fresh,
                  message_.begin() + static_cast<std::ptrdiff_t>(taken));
      arrived_ = kMessagePrefixBytes + taken + fresh;
      link_->pop(receive.from);
      if (taken + fresh < message_.size()) continue;
      const auto accepted = handler_->take(stage_, receive, SharedBytes::of(std::exchange(message_, {})));
      if (!accepted) return wrong(receive, accepted.fault().reason);
      arrived_ = 0;
      ++receive_;
    }
    return any;
  }

  Result<std::monostate> begin(const Receive& receive, std::span<const std::byte> segment) {
    std::uint64_t length = 0;
    if (segment.size() < sizeof length) return wrong(receive, "a segment without a length");
    std::memcpy(&length, segment.data(), sizeof length);
    if (length > handler_->most_bytes())
      return wrong(receive, "a message of " + std::to_string(length) + " bytes where at most " +
                                std::to_string(handler_->most_bytes()) + " were expected");
    message_.resize(static_cast<std::size_t>(length));
    return std::monostate{};
  }

  static Fault wrong(const Receive& receive, const std::string& what) {
    return {FaultKind::malformed, "rank " + std::to_string(receive.from) + ": " + what, receive.from};
  }

  Rank awaited() const noexcept {
    return in_stage() && receive_ < stage().receives.size() ? stage().receives[receive_].from : -1;
  }

  std::unique_ptr<Link> link_;
  ByteBuffer scratch_;
  const Routes* routes_ = nullptr;
  MessageHandler* handler_ = nullptr;
  std::size_t stage_ = 0;
  std::vector<Leaving> leaving_;  // of this stage
  std::size_t receive_ = 0;       // which of this stage's is awaited
  std::size_t arrived_ = 0;       // of it, with its prefix
  ByteBuffer message_;
  ExchangeBytes bytes_;
  std::optional<Fault> fault_;
};

MessageExchange::MessageExchange(std::unique_ptr<Link> link)
    : state_(std::make_unique<State>(std::move(link))) {}
MessageExchange::~MessageExchange() = default;

Rank MessageExchange::self() const noexcept { return state_->link().self(); }
int MessageExchange::world_size() const noexcept { return state_->link().world_size(); }
void MessageExchange::start(const Routes& routes, MessageHandler& handler) { state_->start(routes, handler); }
Result<bool> MessageExchange::progress() { return state_->progress(); }
ExchangeBytes MessageExchange::bytes() const noexcept { return state_->bytes(); }

Result<std::monostate> exchange_in_process(std::span<const Routes> routes,
                                           std::span<MessageHandler* const> handlers,
                                           const std::function<void(Rank, Rank, std::size_t)>& sent,
                                           const std::function<void()>& ended) {
  for (std::size_t stage = 0; stage < routes[0].stages.size(); ++stage) {
    std::map<std::pair<Rank, Rank>, SharedBytes> mail;
    for (std::size_t rank = 0; rank < routes.size(); ++rank) {
      const auto from = static_cast<Rank>(rank);
      for (const Send& send : routes[rank].stages[stage].sends) {
        SharedBytes message = handlers[rank]->outgoing(stage, send);
        sent(from, send.to, kMessagePrefixBytes + message.size());
        if (!mail.try_emplace({from, send.to}, std::move(message)).second)
          throw std::logic_error("routes: two sends to one peer in a stage");
      }
    }
    for (std::size_t rank = 0; rank < routes.size(); ++rank) {
      for (const Receive& receive : routes[rank].stages[stage].receives) {
        auto message = mail.extract({receive.from, static_cast<Rank>(rank)});
        if (message.empty()) throw std::logic_error("routes: a receive without its send");
        if (auto taken = handlers[rank]->take(stage, receive, std::move(message.mapped())); !taken)
          return taken;
      }
    }
    if (!mail.empty()) throw std::logic_error("routes: a send that nobody receives");
    ended();
  }
  return std::monostate{};
}

}  // namespace gossamer
