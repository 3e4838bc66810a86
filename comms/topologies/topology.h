#pragma once

#include <span>
#include <vector>

#include "comms/topologies/routes.h"
#include "core/registry.h"

namespace gossamer {

// Who exchanges what with whom. Pure: ranks in, routes out; no I/O, no state. What a topology can do it says
// by overriding; a place that cannot run a topology that way refuses it.
class Topology {
 public:
  virtual ~Topology() = default;

  // One rank's routes for summing a vector so that every rank ends with the same bits, for short vectors
  // first (by max_count, the last unlimited). Empty where the topology is no all-reduce.
  virtual std::vector<Routes> all_reduce_routes(Rank self, int world_size) const;
};

// `topology.name`.
const Registry<Topology>& topologies();

// The routes that hold for `count` elements. Requires that there are some.
const Routes& routes_for(const std::vector<Routes>& routes, std::size_t count) noexcept;

// Runs the routes of all ranks in one process: vectors[r] is rank r's, and each ends as their sum. The bits
// are those of an all-reduce between processes. Throws std::logic_error for vectors of different sizes, and
// for a topology that is no all-reduce or whose routes do not fit together.
void all_reduce_in_process(const Topology& topology, std::span<const std::span<float>> vectors);

}  // namespace gossamer
