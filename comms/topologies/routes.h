#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/types.h"

namespace gossamer {

// What is done with a part of the vector that arrives. `held` is a second place of the same size that lives
// for one stage: for a sum whose order must not begin with this rank's own values.
enum class Combine {
  copy,           // x = in
  add,            // x = x + in
  hold,           // held = in
  add_to_held,    // held = held + in
  add_with_held,  // x = (held + in) + x
};

struct Send {
  Rank to = 0;
  int chunk = 0;
};

struct Receive {
  Rank from = 0;
  int chunk = 0;
  Combine combine = Combine::copy;
};

// What one rank does between two synchronous steps of the algorithm: it sends what its chunks hold when the
// stage begins, then combines what it receives, in this order. To each peer at most one send a stage.
struct Stage {
  std::vector<Send> sends;
  std::vector<Receive> receives;
};

// One rank's part of a collective as data, for vectors of at most `max_count` elements. What rank a sends to
// b in a stage is what b receives from a in the same stage. The order in which each element is summed follows
// from this alone, not from timing, segments or links.
struct Routes {
  std::size_t max_count = std::numeric_limits<std::size_t>::max();
  int chunks = 1;
  // A chunk that was sent does not change at its sender before the receiver must have got it: a link may send
  // from where it lies.
  bool sends_stay = false;
  std::vector<Stage> stages;
};

struct ChunkRange {
  std::size_t begin = 0;
  std::size_t size = 0;
};

// How long the chunks of a sum of `count` elements are: a multiple of 16.
std::size_t chunk_size(std::size_t count, int chunks) noexcept;

// Where a chunk lies in a vector of `count` elements. The last ones may be shorter, or empty.
ChunkRange chunk_range(std::size_t count, std::size_t size, int chunk) noexcept;

// What a stage does with the elements that arrived; `in` need not be aligned, and its size is that of
// `values`. `held` may be empty where `combine` does not use it.
void combine_into(std::span<float> values, std::span<float> held, std::span<const std::byte> in,
                  Combine combine) noexcept;

}  // namespace gossamer
