#pragma once

#include <stdexcept>
#include <string>

namespace gossamer {

// A fault of this process throws one of these; a fault of a peer is a value (core/result.h).
// Each carries the exit code that the program ends with (docs/reference.md, "Exit codes").
class Error : public std::runtime_error {
 public:
  int exit_code() const noexcept { return exit_code_; }

 protected:
  Error(const std::string& what, int exit_code) : std::runtime_error(what), exit_code_(exit_code) {}

 private:
  int exit_code_;
};

// Bad usage or configuration: one line that names the key, its value and what would be accepted.
class ConfigError : public Error {
 public:
  explicit ConfigError(const std::string& what) : Error(what, 2) {}
};

// The run could not finish: too few clients left, the server is gone, the disk is full.
class RunError : public Error {
 public:
  explicit RunError(const std::string& what) : Error(what, 3) {}
};

// A data, model or checkpoint file that is missing, truncated, corrupt or refused.
class FileError : public Error {
 public:
  explicit FileError(const std::string& what) : Error(what, 4) {}
};

// This process's own transport cannot work (an address that cannot be bound, an MPI call that failed).
class TransportError : public Error {
 public:
  explicit TransportError(const std::string& what) : Error(what, 3) {}
};

}  // namespace gossamer
