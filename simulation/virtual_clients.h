#pragma once

#include <cstdint>

#include "comms/parcel.h"
#include "core/result.h"
#include "core/types.h"

namespace gossamer {

// The real work behind the clients of an EventLoop, which knows when it is due, and not how it is done. All
// calls come from the loop's thread.
class VirtualClients {
 public:
  // Names a round of work from begin() until its outcome has been taken or forgotten; then it is free again.
  // Small numbers.
  using Work = std::uint32_t;
  virtual ~VirtualClients() = default;

  // Examples that the client holds.
  virtual std::int64_t examples(ClientId client) const = 0;
  // How many rounds of work are worth beginning before they are due.
  virtual std::size_t ahead() const = 0;
  virtual void begin(Work work, const Parcel& model) = 0;
  // Waits for the update.
  virtual Result<Parcel> outcome(Work work) = 0;
  virtual void forget(Work work) = 0;
  // sync.pull = on_request: the local training that follows the outcome; and waiting for it.
  virtual void go_on(Work work, const FrameHeader& model) = 0;
  virtual void wait(Work work) = 0;
};

}  // namespace gossamer
