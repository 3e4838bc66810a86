#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "comms/peer_network.h"
#include "comms/zmq_transport.h"

namespace gossamer {

struct ZmqPeersSettings {
  ClientId self = 0;
  std::uint64_t run_id = 0;  // frames of another run are dropped
  ZmqLimits limits;
};

// A peer's network over ZeroMQ: `recorder` is its connection to the meeting point, over `inbox` others come
// to it, and it connects to each of `addresses` (its neighbours; none for a peer that talks to the recorder
// only). Who sends says hello first; frames in the name of anybody else, or of somebody who is no neighbour,
// are dropped. `recorder` outlives it.
std::unique_ptr<PeerNetwork> make_zmq_peers(Transport& recorder, std::unique_ptr<Transport> inbox,
                                            const std::map<ClientId, std::string>& addresses,
                                            const ZmqPeersSettings& settings);

}  // namespace gossamer
