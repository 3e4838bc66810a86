#pragma once

#include <cstdint>

namespace gossamer {

// What the kernel has carried, summed over the connections that are open now and whose local port is `port`
// (a listener's accepted ones). Payload of TCP: without IP and TCP headers.
struct TcpCounters {
  int connections = 0;
  std::uint64_t bytes_sent = 0;  // and acknowledged by the peer
  std::uint64_t bytes_received = 0;
};

// Asks the kernel by netlink (sock_diag, TCP_INFO). A connection's counters vanish when it closes, so read
// them while it stands. Throws std::system_error where the kernel does not answer.
TcpCounters read_tcp_counters(std::uint16_t port);

}  // namespace gossamer
