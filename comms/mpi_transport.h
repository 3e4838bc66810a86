#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "comms/transport.h"

namespace gossamer {

// MPI from MPI_Init_thread (FUNNELED) to MPI_Finalize, which waits for the other ranks. So a rank that fails
// calls abort(), after it has said why, and takes the job down with it; a session that is destroyed while an
// exception passes does that by itself. One per process; made and destroyed on the thread that uses the
// transport. Throws TransportError where MPI cannot start.
class MpiSession {
 public:
  MpiSession();
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  Rank rank() const noexcept { return rank_; }
  int world_size() const noexcept { return world_size_; }
  // Ends every rank of the job with this exit code.
  [[noreturn]] void abort(int exit_code) noexcept;
  // Holds memory that MPI may still use until MPI_Finalize has returned.
  void keep(std::shared_ptr<const void> memory);

 private:
  Rank rank_ = 0;
  int world_size_ = 1;
  int exceptions_at_start_ = 0;
  std::vector<std::shared_ptr<const void>> kept_;
};

inline constexpr std::size_t kMpiChunkBytes = std::size_t{1} << 30U;

// Frames between the ranks of the job, on a communicator of its own. Every MPI call is made on the calling
// thread, inside send(), receive() and flush(): nothing moves between calls, and an idle receive() sleeps up
// to a millisecond at a time rather than take a trainer's core. Payloads travel without a copy, in chunks of
// at most `chunk_bytes` (an MPI count is an int), and land 64-byte aligned; the sender's storage is held
// until MPI is done with it. All ranks make it, and destroy it, together; the session outlives it. A frame
// that is refused ends the conversation with its sender, since its place in that stream is lost: `malformed`,
// then `disconnected` on send. Errors of MPI throw TransportError.
std::unique_ptr<Transport> make_mpi_transport(MpiSession& session, std::uint64_t max_payload_bytes,
                                              std::size_t chunk_bytes = kMpiChunkBytes);

}  // namespace gossamer
