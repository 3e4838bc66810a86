#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "comms/arrivals.h"
#include "comms/transport.h"

namespace gossamer {

// What both ends of a ZeroMQ connection are told.
struct ZmqLimits {
  // A larger payload is never allocated: the connection that announces one is closed. As long as the model
  // (and the largest update) is; docs/wire_format.md.
  std::uint64_t max_payload_bytes = 0;
  std::size_t queue_frames = 1024;          // waiting for one peer, and received but not yet taken
  std::uint64_t queue_bytes = 1ULL << 30U;  // received but not yet taken; one frame always fits
  std::chrono::milliseconds heartbeat_interval{5'000};
  // A peer that is silent for so long is gone. One frame must be able to cross the link in this time.
  std::chrono::milliseconds heartbeat_timeout{60'000};
  std::chrono::milliseconds linger{1'000};  // how long the destructor waits for frames to leave
};

struct ZmqServerSettings {
  std::string listen = "tcp://127.0.0.1:5555";  // or ipc://PATH; port 0 or * takes a free one
  bool insecure = false;                        // security.insecure: may listen beyond loopback
  std::size_t max_peers = 65'536;               // further ones are not heard
  // How often every connected peer gets a heartbeat frame, also while the caller is busy; 0: never. One to a
  // peer that is gone comes back as `disconnected`.
  std::chrono::milliseconds keep_alive{0};
  ZmqLimits limits;
  std::shared_ptr<Arrivals> arrivals{};  // told of everything that receive() can give out
};

struct ZmqClientSettings {
  std::string connect = "tcp://127.0.0.1:5555";
  // Names the connection: a client that restarts takes over its own place. kUnassignedClient: one of its own.
  ClientId client = 0;
  std::chrono::milliseconds reconnect_min{100};  // back-off between attempts, doubling
  std::chrono::milliseconds reconnect_max{5'000};
  ZmqLimits limits;
  std::shared_ptr<Arrivals> arrivals{};
};

// The coordinator's end: rank 0. Clients get ranks 1, 2, ... in the order of their first well-formed frame;
// one that reconnects or restarts keeps its rank. endpoint() has the port that was taken. Throws ConfigError
// for a malformed address and for one beyond loopback without `insecure`, TransportError where it cannot be
// bound.
std::unique_ptr<Transport> make_zmq_server(const ZmqServerSettings& settings);

// A client's end; the server is rank 0 and self() is 1 (the rank it has at the server is the server's
// affair). Returns at once and connects in the background, again and again. Frames sent before there is a
// connection wait for it; when a connection breaks, what waited is dropped, receive() reports `disconnected`
// once, and what is sent next (say, hello) is the first to go over the next connection. Throws ConfigError
// for a malformed address.
std::unique_ptr<Transport> make_zmq_client(const ZmqClientSettings& settings);

}  // namespace gossamer
