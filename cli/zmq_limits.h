#pragma once

#include <string>

#include "cli/federation.h"
#include "comms/zmq_transport.h"
#include "core/error.h"

namespace gossamer {

// Both ends of a connection agree on how long a frame may be and how long silence may last.
inline ZmqLimits zmq_limits(const Federation& federation) {
  const auto timeout = std::chrono::ceil<std::chrono::milliseconds>(
      std::chrono::duration<double>(federation.options.real("server.client_timeout_s")));
  ZmqLimits limits;
  limits.max_payload_bytes = max_payload_bytes(federation);
  limits.heartbeat_timeout = timeout;
  limits.heartbeat_interval = timeout / 4;
  return limits;
}

// An address to listen on that others are told.
inline void check_reachable(const std::string& key, const std::string& listen, const std::string& whom) {
  for (const char* everywhere : {"tcp://0.0.0.0:", "tcp://*:", "tcp://[::]:"}) {
    if (listen.starts_with(everywhere))
      throw ConfigError(key + " = " + listen + ": " + whom +
                        " are told this address; give that of one network, like tcp://10.0.0.5:*");
  }
}

}  // namespace gossamer
