#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "comms/topologies/topology.h"
#include "core/result.h"

namespace gossamer {

// How a link carries a vector: what all ranks must agree on. None of it changes a sum.
struct LinkSettings {
  std::size_t segment_bytes = std::size_t{64} << 10U;  // the largest message; a multiple of 64
  std::size_t segments = 8;                            // of them, on their way from one rank to another
};

// Segments between this rank and its peers, for a collective: in order from each peer, and complete. One
// thread. Calls return at once; bytes may move inside any of them. A peer's fault shows in pause().
class Link {
 public:
  using Clock = std::chrono::steady_clock;
  virtual ~Link() = default;

  virtual Rank self() const noexcept = 0;
  virtual int world_size() const noexcept = 0;
  virtual const LinkSettings& settings() const noexcept = 0;

  // Takes a segment (1 to segment_bytes) for a peer; false where there is no room now. If `stays`, then the
  // bytes stay as they are until settled() counts it, and the link may send from there; otherwise it has
  // copied them.
  virtual bool send(Rank to, std::span<const std::byte> segment, bool stays) = 0;
  // The oldest segment from this peer that pop() has not let go; empty where none has arrived. Aligned to
  // nothing.
  virtual std::span<const std::byte> front(Rank from) = 0;
  virtual void pop(Rank from) = 0;
  // How many of the segments that stay, the oldest first, the link does not read any more.
  virtual std::uint64_t settled() = 0;
  // Whether it has taken segments that leave only in later calls.
  virtual bool owes() { return false; }

  // For a caller that can do nothing until something arrives (from `awaited`, if that is not -1), its
  // `idle_turns`th time in a row: gives the processor away as suits the link, but not for long after
  // `deadline`. The fault of a peer without whom it cannot go on.
  virtual Result<std::monostate> pause(Rank awaited, int idle_turns, Clock::time_point deadline) = 0;
};

// The largest segment that `from` sends to each rank along a topology's routes, in bytes; 0 where it sends
// none: what a link needs room for. Throws std::logic_error where the topology is no all-reduce.
std::vector<std::size_t> largest_segments(const Topology& topology, Rank from, int world_size,
                                          const LinkSettings& settings);

}  // namespace gossamer
