#pragma once

#include <memory>

#include "comms/collectives/link.h"
#include "comms/transport.h"
#include "core/options.h"

namespace gossamer {

// What connects this process with others, as far away as network.emulated_latency_ms says.
std::unique_ptr<Transport> at_a_distance(const Options& options, std::unique_ptr<Transport> transport);
std::unique_ptr<Link> at_a_distance(const Options& options, std::unique_ptr<Link> link);

}  // namespace gossamer
