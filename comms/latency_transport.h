#pragma once

#include <chrono>
#include <memory>

#include "comms/transport.h"

namespace gossamer {

// A transport as if its peers were further away: what another process sends is handed on `latency` after it
// has arrived (Message::arrived), in order, and so is the news that a peer is gone. What a process sends to
// itself is not held back. No thread and no sleep: receive() waits in the transport's own. Memory: what
// arrives within the latency. Requires latency >= 0.
std::unique_ptr<Transport> make_latency_transport(std::unique_ptr<Transport> transport,
                                                  std::chrono::nanoseconds latency);

}  // namespace gossamer
