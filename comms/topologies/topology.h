#pragma once

#include <memory>
#include <span>
#include <vector>

#include "comms/topologies/gossip.h"
#include "comms/topologies/routes.h"
#include "comms/topologies/tree.h"
#include "core/registry.h"

namespace gossamer {

// How the participants come to a common model.
enum class TopologyKind {
  server,              // one of them has it (in a tree, the root)
  all_reduce,          // they sum their updates along all_reduce_routes(), and all have it
  library_all_reduce,  // the same by a call of MPI's
  gossip,              // each has its own, and they mix by the gossip_plan()
};

// Who exchanges what with whom. Pure: ranks in, routes out; no I/O, no state.
class Topology {
 public:
  virtual ~Topology() = default;
  virtual TopologyKind kind() const noexcept { return TopologyKind::all_reduce; }

  // One rank's routes for summing a vector so that every rank ends with the same bits, for short vectors
  // first (by max_count, the last unlimited). Empty where the topology is no all-reduce. Throws ConfigError
  // where so many ranks cannot sum that way, and so does gather_routes().
  virtual std::vector<Routes> all_reduce_routes(Rank self, int world_size) const;
  // One rank's routes for a gather: chunk r is rank r's, and every rank ends with all of them. By default
  // each sends its own to every other.
  virtual Routes gather_routes(Rank self, int world_size) const;
  // Throws ConfigError where so many peers cannot gossip that way; null where the topology is no gossip.
  virtual std::unique_ptr<GossipPlan> gossip_plan(int peers) const;
  // Throws ConfigError where so many clients cannot form the tree; null where the topology is no tree.
  virtual std::unique_ptr<TreePlan> tree_plan(std::int64_t clients) const;
};

// `topology.name`.
const Registry<Topology>& topologies();

// Of the topology of that name, as far as the name tells. Throws ConfigError where there is none.
TopologyKind kind_of_topology(const std::string& name);

// The routes that hold for `count` elements. Requires that there are some.
const Routes& routes_for(const std::vector<Routes>& routes, std::size_t count) noexcept;

// What a rank sends and receives in one sum of `count` elements: the floats, without headers. MPI's own
// collective counts as 2 (p - 1) / p of the vector in each direction, which an all-reduce cannot undercut.
struct ExchangeBytes {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;

  ExchangeBytes& operator+=(const ExchangeBytes& more) noexcept {
    sent += more.sent;
    received += more.received;
    return *this;
  }
};
ExchangeBytes all_reduce_bytes(const Topology& topology, Rank self, int world_size, std::size_t count);
// The same of a gather of `count` elements, `share` of them every rank's.
ExchangeBytes gather_bytes(const Topology& topology, Rank self, int world_size, std::size_t count,
                           std::size_t share);

// Runs the routes of all ranks in one process: vectors[r] is rank r's, and each ends as their sum. The bits
// are those of an all-reduce between processes. Throws std::logic_error for vectors of different sizes, and
// for a topology that is no all-reduce or whose routes do not fit together.
void all_reduce_in_process(const Topology& topology, std::span<const std::span<float>> vectors);

}  // namespace gossamer
