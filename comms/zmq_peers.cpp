#include "comms/zmq_peers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "comms/codec.h"

namespace gossamer {
namespace {

// How long one connection is listened to before the others are looked at.
constexpr std::chrono::milliseconds kTurn{1};

class ZmqPeers final : public PeerNetwork {
 public:
  ZmqPeers(Transport& recorder, std::unique_ptr<Transport> inbox,
           const std::map<ClientId, std::string>& addresses, const ZmqPeersSettings& settings)
      : recorder_(recorder), inbox_(std::move(inbox)), run_id_(settings.run_id) {
    for (const auto& [client, address] : addresses) {
      ZmqClientSettings connection;
      connection.connect = address;
      connection.client = settings.self;
      connection.limits = settings.limits;
      auto transport = make_zmq_client(connection);
      static_cast<void>(transport->send(0, encode_hello(run_id_, settings.self, {})));
      out_.emplace(client, std::move(transport));
    }
  }

  void send(ClientId to, const Frame& frame) override {
    const auto found = out_.find(to);
    if (found != out_.end()) static_cast<void>(found->second->send(0, frame));
  }

  void tell(const Frame& frame) override { static_cast<void>(recorder_.send(0, frame)); }

  Result<Frame> receive(Clock::time_point deadline) override {
    // Who is alone with the recorder waits for it; otherwise neighbours are waited for, a turn at a time.
    const bool alone = out_.empty();
    for (;;) {
      const Clock::time_point now = Clock::now();
      auto message = recorder_.receive(alone ? deadline : now);
      if (message) return std::move(message.value().frame);
      if (message.fault().kind != FaultKind::timeout)
        return Fault{message.fault().kind, message.fault().reason, -1};
      if (!alone) {
        if (auto frame = from_neighbours(std::min(deadline, now + kTurn))) return std::move(*frame);
      }
      if (Clock::now() >= deadline) return Fault{FaultKind::timeout, "nothing arrived"};
    }
  }

  bool flush(Clock::time_point deadline) override {
    bool left = recorder_.flush(deadline).ok();
    for (const auto& [client, transport] : out_) left = transport->flush(deadline).ok() && left;
    return left;
  }

 private:
  std::optional<Result<Frame>> from_neighbours(Clock::time_point until) {
    const Clock::time_point now = Clock::now();
    for (const auto& [client, transport] : out_) {
      // Nobody answers over these: what comes is that they broke.
      const auto event = transport->receive(now);
      if (!event && event.fault().kind == FaultKind::disconnected) {
        return Fault{FaultKind::disconnected, event.fault().reason, static_cast<Rank>(client)};
      }
    }
    for (;;) {
      auto message = inbox_->receive(until);
      if (!message) {
        const Fault& fault = message.fault();
        if (fault.kind == FaultKind::timeout) return std::nullopt;
        if (fault.kind == FaultKind::malformed) return fault;
        const auto who = neighbours_.find(fault.peer);
        if (who == neighbours_.end()) continue;
        return Fault{FaultKind::disconnected, fault.reason, static_cast<Rank>(who->second)};
      }
      const FrameHeader& header = message.value().frame.header;
      if (header.run_id != run_id_ || !out_.contains(header.client)) continue;
      if (header.type == FrameType::hello) {
        neighbours_[message.value().from] = header.client;
        continue;
      }
      const auto who = neighbours_.find(message.value().from);
      const bool shares = header.type == FrameType::share || header.type == FrameType::difference;
      if (shares && who != neighbours_.end() && who->second == header.client)
        return std::move(message.value().frame);
    }
  }

  Transport& recorder_;
  std::unique_ptr<Transport> inbox_;
  std::uint64_t run_id_;
  std::map<ClientId, std::unique_ptr<Transport>> out_;
  std::map<Rank, ClientId> neighbours_;  // who speaks over a connection of the inbox
};

}  // namespace

std::unique_ptr<PeerNetwork> make_zmq_peers(Transport& recorder, std::unique_ptr<Transport> inbox,
                                            const std::map<ClientId, std::string>& addresses,
                                            const ZmqPeersSettings& settings) {
  return std::make_unique<ZmqPeers>(recorder, std::move(inbox), addresses, settings);
}

}  // namespace gossamer
