#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "core/error.h"

namespace gossamer {

// A descriptor that poll() sees. Any thread may ring it.
class Bell {
 public:
  Bell() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw TransportError("eventfd: " + std::generic_category().message(errno));
  }
  ~Bell() { close(fd_); }
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  void ring() noexcept { (void)!eventfd_write(fd_, 1); }
  void clear() noexcept {
    eventfd_t count = 0;
    (void)!eventfd_read(fd_, &count);
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace gossamer
