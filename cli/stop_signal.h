#pragma once

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

 private:
  int descriptor_;
  bool requested_ = false;
};

// Blocks them in this thread and in those that it starts from now on. They wait for a StopSignal.
void block_stop_signals() noexcept;

}  // namespace gossamer
