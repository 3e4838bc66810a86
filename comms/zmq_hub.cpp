#include "comms/zmq_hub.h"

#include <utility>
#include <vector>

namespace gossamer {
namespace {

class Hub final : public ZmqHub {
 public:
  explicit Hub(std::optional<ZmqServerSettings> listen) {
    if (!listen) return;
    listen->arrivals = arrivals_;
    own_ = make_zmq_server(*listen);
  }

  void connect(ZmqClientSettings settings) override {
    settings.arrivals = arrivals_;
    servers_.push_back(make_zmq_client(settings));
  }

  Rank self() const noexcept override { return -1; }  // no frame is to itself
  std::string endpoint() const override {
    if (own_) return own_->endpoint();
    return servers_.empty() ? std::string() : servers_.front()->endpoint();
  }

  Result<Message> receive(Clock::time_point deadline) override {
    for (;;) {
      const std::uint64_t known = arrivals_->count();
      const std::size_t places = servers_.size() + (own_ ? 1 : 0);
      for (std::size_t i = 0; i < places; ++i) {
        turn_ = (turn_ + 1) % places;
        auto message = look_at(turn_);
        if (message || message.fault().kind != FaultKind::timeout) return message;
      }
      if (!arrivals_->wait_beyond(known, deadline)) return Fault{FaultKind::timeout, "nothing arrived"};
    }
  }

  Result<std::monostate> flush(Clock::time_point deadline) override {
    Result<std::monostate> all = std::monostate{};
    if (own_) all = own_->flush(deadline);
    for (const auto& server : servers_) {
      if (auto one = server->flush(deadline); !one) all = std::move(one);
    }
    return all;
  }

 private:
  // A server's own first client is its rank 1.
  Rank own_rank(Rank rank) const { return rank - static_cast<Rank>(servers_.size()) + 1; }

  Result<Message> look_at(std::size_t place) {
    const bool is_server = place < servers_.size();
    auto message = (is_server ? servers_[place] : own_)->receive(Clock::time_point::min());
    const auto rank = [&](Rank there) {
      if (is_server) return static_cast<Rank>(place);
      return there < 1 ? -1 : there + static_cast<Rank>(servers_.size()) - 1;
    };
    if (message) {
      message.value().from = rank(message.value().from);
      return message;
    }
    Fault fault = message.fault();
    fault.peer = rank(fault.peer);
    return fault;
  }

  Result<std::monostate> send_frame(Rank to, const Frame& frame) override {
    if (to >= 0 && static_cast<std::size_t>(to) < servers_.size())
      return servers_[static_cast<std::size_t>(to)]->send(0, frame);
    if (own_ && own_rank(to) >= 1) return own_->send(own_rank(to), frame);
    return Fault{FaultKind::disconnected, "rank " + std::to_string(to) + " is not connected", to};
  }

  const std::shared_ptr<Arrivals> arrivals_ = std::make_shared<Arrivals>();
  std::vector<std::unique_ptr<Transport>> servers_;
  std::unique_ptr<Transport> own_;
  std::size_t turn_ = 0;
};

}  // namespace

std::unique_ptr<ZmqHub> make_zmq_hub(std::optional<ZmqServerSettings> listen) {
  return std::make_unique<Hub>(std::move(listen));
}

}  // namespace gossamer
