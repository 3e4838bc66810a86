#pragma once

#include <memory>

#include "comms/transport.h"
#include "core/types.h"

namespace gossamer {

// Frames between the peers of a run, by client id, and to and from its recorder. One thread.
class PeerNetwork {
 public:
  using Clock = Transport::Clock;
  virtual ~PeerNetwork() = default;

  // Queues a frame for a peer, or for the recorder. A peer that is gone gets nothing; receive() says so.
  virtual void send(ClientId to, const Frame& frame) = 0;
  virtual void tell(const Frame& frame) = 0;
  // The next frame for the peers (or the recorder) of this process. `timeout` at the deadline; `malformed`
  // where one was dropped; `disconnected` with the client that was lost as Fault::peer, or -1 where it is
  // the recorder. Whose frame it is has been checked as far as the transport can tell.
  virtual Result<Frame> receive(Clock::time_point deadline) = 0;
  // Waits until what was queued has left; false where the deadline passed before.
  virtual bool flush(Clock::time_point deadline) = 0;
};

// Over a transport that reaches everybody: client k is on rank k mod `ranks`, the recorder on rank 0. The
// transport outlives it.
std::unique_ptr<PeerNetwork> make_rank_network(Transport& transport, int ranks);

}  // namespace gossamer
