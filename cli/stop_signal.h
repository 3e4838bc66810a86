#pragma once

#include <chrono>
#include <optional>

namespace gossamer {

// SIGINT and SIGTERM as something that can be asked for: a first one ends the run cleanly at the next event,
// a second one ends the process at once. Make it before the first thread, so that every thread inherits the
// blocked signals; or where somebody else starts threads earlier, call block_stop_signals() before that.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  bool requested();
  // For those whom somebody else, who is asked to stop at the same time, tells that the run is over: whether
  // it was requested so long ago, and nobody has told them.
  bool requested_since(std::chrono::seconds grace);

 private:
  int descriptor_;
  bool requested_ = false;
  std::optional<std::chrono::steady_clock::time_point> since_;
};

// Blocks them in this thread and in those that it starts from now on. They wait for a StopSignal.
void block_stop_signals() noexcept;

}  // namespace gossamer
