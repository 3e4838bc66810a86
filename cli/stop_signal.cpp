#include "cli/stop_signal.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/error.h"

namespace gossamer {
namespace {

sigset_t stop_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  return signals;
}

}  // namespace

void block_stop_signals() noexcept {
  const sigset_t signals = stop_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
}

StopSignal::StopSignal() {
  block_stop_signals();
  const sigset_t signals = stop_signals();
  descriptor_ = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor_ < 0) throw RunError(std::string("signalfd: ") + std::strerror(errno));
}

StopSignal::~StopSignal() { close(descriptor_); }

bool StopSignal::requested() {
  signalfd_siginfo info;
  if (!requested_ && read(descriptor_, &info, sizeof info) == sizeof info) {
    requested_ = true;
    const sigset_t signals = stop_signals();
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // in this thread: the next one has its default effect
  }
  return requested_;
}

bool StopSignal::requested_since(std::chrono::seconds grace) {
  const auto now = std::chrono::steady_clock::now();
  if (!since_ && requested()) since_ = now;
  return since_ && now - *since_ > grace;
}

}  // namespace gossamer
