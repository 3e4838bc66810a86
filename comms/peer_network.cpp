#include "comms/peer_network.h"

#include <utility>

namespace gossamer {
namespace {

class RankNetwork final : public PeerNetwork {
 public:
  RankNetwork(Transport& transport, int ranks) : transport_(transport), ranks_(ranks) {}

  void send(ClientId to, const Frame& frame) override {
    static_cast<void>(transport_.send(static_cast<Rank>(to % ranks_), frame));
  }
  void tell(const Frame& frame) override { static_cast<void>(transport_.send(0, frame)); }
  Result<Frame> receive(Clock::time_point deadline) override {
    auto message = transport_.receive(deadline);
    if (!message) return message.fault();
    return std::move(message.value().frame);
  }
  bool flush(Clock::time_point deadline) override { return transport_.flush(deadline).ok(); }

 private:
  Transport& transport_;
  int ranks_;
};

}  // namespace

std::unique_ptr<PeerNetwork> make_rank_network(Transport& transport, int ranks) {
  return std::make_unique<RankNetwork>(transport, ranks);
}

}  // namespace gossamer
