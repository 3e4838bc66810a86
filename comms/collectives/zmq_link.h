#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "comms/collectives/link.h"

namespace gossamer {

struct ZmqLinkSettings {
  std::string listen = "tcp://127.0.0.1:*";  // or ipc://PATH; port * takes a free one
  bool insecure = false;                     // security.insecure: may listen beyond loopback
  std::uint64_t group = 0;                   // messages of another group are dropped
  LinkSettings link{std::size_t{256} << 10U, 16};
  std::chrono::milliseconds heartbeat_interval{5'000};
  std::chrono::milliseconds heartbeat_timeout{60'000};  // a peer that is silent for so long is gone
  std::chrono::milliseconds linger{1'000};              // how long the destructor waits for messages to leave
};

// A rank's place among peers that exchange segments over ZeroMQ: first it listens, then, when everybody knows
// everybody's address (how is the caller's affair), it connects to the peers that its topology names.
// libzmq's I/O thread moves the bytes, to and from memory of its own, but sends segments that stay from where
// they lie: after a fault the caller's memory is free when the link is destroyed.
class ZmqEndpoint {
 public:
  // Throws ConfigError for a malformed address and for one beyond loopback without `insecure`, TransportError
  // where it cannot be bound.
  explicit ZmqEndpoint(const ZmqLinkSettings& settings);
  ~ZmqEndpoint();
  ZmqEndpoint(ZmqEndpoint&&) noexcept;
  ZmqEndpoint& operator=(ZmqEndpoint&&) = delete;

  // With the port that was taken.
  const std::string& address() const noexcept;

  // Once only. addresses[r] is rank r's. Waits until all peers of this rank have connected too; `timeout`
  // with the rank of one that has not. Over this link a peer that is lost, ours or of one of our peers, is
  // `disconnected` with its rank; one that sends what it should not is `malformed`.
  Result<std::unique_ptr<Link>> connect(const Topology& topology, Rank self,
                                        std::span<const std::string> addresses,
                                        Link::Clock::time_point deadline);

 private:
  struct Socket;
  std::unique_ptr<Socket> socket_;
};

}  // namespace gossamer
