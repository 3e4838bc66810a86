#pragma once

#include "cli/federation.h"
#include "comms/zmq_transport.h"

namespace gossamer {

// Both ends of a connection agree on how long a frame may be and how long silence may last.
inline ZmqLimits zmq_limits(const Federation& federation) {
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::duration<double>(federation.options.real("server.client_timeout_s")));
  ZmqLimits limits;
  limits.max_payload_bytes = max_payload_bytes(*federation.initial);
  limits.heartbeat_timeout = timeout;
  limits.heartbeat_interval = timeout / 4;
  return limits;
}

}  // namespace gossamer
