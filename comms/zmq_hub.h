#pragma once

#include <memory>
#include <optional>

#include "comms/transport.h"
#include "comms/zmq_transport.h"

namespace gossamer {

// Several ZeroMQ connections as one transport: those to servers are ranks 0, 1, ... in the order in which
// they were made, and who connects to this process, where it listens too, comes after them. Each has its I/O
// thread; receive() waits for all of them at once and takes from them in turn. traffic() is what was sent by
// send(), without the heartbeats below.
class ZmqHub : public Transport {
 public:
  // Connects to the server that gets the next rank. Where this process listens, all connections are made
  // before the first receive().
  virtual void connect(ZmqClientSettings settings) = 0;
};

// `listen`: where others connect to, if at all; endpoint() is that, or else the first server. Throws as
// make_zmq_server() does.
std::unique_ptr<ZmqHub> make_zmq_hub(std::optional<ZmqServerSettings> listen = std::nullopt);

}  // namespace gossamer
