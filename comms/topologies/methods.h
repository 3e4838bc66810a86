#pragma once

#include <memory>

#include "comms/topologies/topology.h"

namespace gossamer {

std::unique_ptr<Topology> make_all_to_all(const Options&);
std::unique_ptr<Topology> make_gossip(const Options& options);
std::unique_ptr<Topology> make_grouped_ring(const Options& options);
std::unique_ptr<Topology> make_mpi_allreduce(const Options&);
std::unique_ptr<Topology> make_parameter_server(const Options&);
std::unique_ptr<Topology> make_ring(const Options&);
std::unique_ptr<Topology> make_tree(const Options& options);

std::vector<OptionSpec> gossip_options();
std::vector<OptionSpec> grouped_ring_options();

// One stage in which every rank sends its whole vector to every other and sums in rank order.
Routes exchange_routes(Rank self, int world_size);
// That for short vectors, where the peers are few, and otherwise these routes of many hops.
std::vector<Routes> with_short_exchange(Rank self, int world_size, Routes otherwise);

}  // namespace gossamer
