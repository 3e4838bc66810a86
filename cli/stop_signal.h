#pragma once

namespace gossamer {

// SIGINT and SIGTERM as something that can be asked for: a first one ends the run cleanly at the next event,
// a second one ends the process at once. Make it before the first thread, so that every thread inherits the
// blocked signals.
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

}  // namespace gossamer
