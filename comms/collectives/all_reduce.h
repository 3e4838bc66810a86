#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <variant>

#include "comms/collectives/link.h"
#include "core/result.h"

namespace gossamer {

// Sums vectors over all ranks, in place. All ranks call start(), start_gather() or all_reduce() in the same
// order with the same counts; all end with the same bits. One thread: the one that made it. A peer's fault is
// final: every later call returns it, the vectors under way hold anything, and they are the caller's again
// when the AllReduce has been destroyed.
class AllReduce {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~AllReduce() = default;

  virtual Rank self() const noexcept = 0;
  virtual int world_size() const noexcept = 0;

  // start() and finish() in one.
  virtual Result<std::monostate> all_reduce(std::span<float> values, Clock::time_point deadline);

  // Several sums under way, say one a bucket of gradients. The values belong to the collective until the sum
  // is complete; what moves them is progress(), which never waits. Sums are complete in the order in which
  // they were started; a handful may be under way at once.
  virtual void start(std::span<float> values) = 0;
  // The same for a vector of which every rank has a share, `share` elements each, in the order of the ranks;
  // the last shares may be shorter. It counts as a sum, and ends with all shares.
  virtual void start_gather(std::span<float> values, std::size_t share) = 0;
  // How many of the sums that were started since the last finish() are complete.
  virtual Result<std::size_t> progress() = 0;
  // Waits until the first `sums` of those are complete; `timeout`, with the rank that is waited for, at the
  // deadline.
  virtual Result<std::monostate> wait(std::size_t sums, Clock::time_point deadline) = 0;
  // Waits for all, and begins to count anew.
  virtual Result<std::monostate> finish(Clock::time_point deadline) = 0;
};

// Sums along the topology's routes over a link, which it takes over: segments of the chunks are pipelined, so
// that sending, receiving and adding overlap. Throws std::logic_error where the topology is no all-reduce.
std::unique_ptr<AllReduce> make_all_reduce(const Topology& topology, std::unique_ptr<Link> link);

}  // namespace gossamer
