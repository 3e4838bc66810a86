#pragma once

#include <functional>
#include <memory>

#include "comms/transport.h"

namespace gossamer {

// The two conversations of a process that is a server to some ranks and a client of others, over one
// transport. Which a frame belongs to follows from its type.
struct SplitTransport {
  // Its servers, all of them rank 0 here: a frame goes to the one that `server_of` names for the client that
  // it is of.
  std::unique_ptr<Transport> above;
  // Its clients, by their ranks.
  std::unique_ptr<Transport> below;
};

// What one of them takes in for the other waits there. Both are told of a peer's fault. One thread for both.
SplitTransport split_transport(std::unique_ptr<Transport> transport, std::function<Rank(ClientId)> server_of);

}  // namespace gossamer
