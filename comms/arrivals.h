#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "comms/transport.h"

namespace gossamer {

// Lets one thread wait for several transports at once: each of them says here that something has come in.
class Arrivals {
 public:
  void note() {
    {
      const std::lock_guard lock(mutex_);
      ++count_;
    }
    more_.notify_one();
  }
  std::uint64_t count() {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  // Until there have been more than `known`; false at the deadline.
  bool wait_beyond(std::uint64_t known, Transport::Clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    return more_.wait_until(lock, deadline, [&] { return count_ > known; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable more_;
  std::uint64_t count_ = 0;
};

}  // namespace gossamer
