#pragma once

#include <memory>

#include "comms/topologies/topology.h"

namespace gossamer {

std::unique_ptr<Topology> make_all_to_all(const Options&);
std::unique_ptr<Topology> make_ring(const Options&);

// One stage in which every rank sends its whole vector to every other and sums in rank order.
Routes exchange_routes(Rank self, int world_size);

}  // namespace gossamer
