#pragma once

#include <mpi.h>

#include <string>

#include "core/error.h"

// What the files that call MPI share. Used by them only: elsewhere mpi.h stays out.
namespace gossamer {

inline void check_mpi(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::string text(MPI_MAX_ERROR_STRING, '\0');
  int length = 0;
  if (MPI_Error_string(code, text.data(), &length) != MPI_SUCCESS) length = 0;
  text.resize(static_cast<std::size_t>(length));
  throw TransportError(std::string(call) + ": " + text);
}

// A communicator of our own: nobody else's messages match ours. Errors come back as codes. All ranks make it
// together.
class Communicator {
 public:
  Communicator() {
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &handle_), "MPI_Comm_dup");
    check_mpi(MPI_Comm_set_errhandler(handle_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  // Of the ranks that share memory with this one.
  static Communicator of_this_node() {
    MPI_Comm handle = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &handle),
              "MPI_Comm_split_type");
    return Communicator(handle);
  }
  ~Communicator() { MPI_Comm_free(&handle_); }
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  MPI_Comm get() const noexcept { return handle_; }
  int size() const {
    int size = 0;
    check_mpi(MPI_Comm_size(handle_, &size), "MPI_Comm_size");
    return size;
  }

 private:
  explicit Communicator(MPI_Comm handle) : handle_(handle) {
    check_mpi(MPI_Comm_set_errhandler(handle_, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  }
  MPI_Comm handle_ = MPI_COMM_NULL;
};

}  // namespace gossamer
