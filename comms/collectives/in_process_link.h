#pragma once

#include <memory>
#include <vector>

#include "comms/collectives/link.h"

namespace gossamer {

// One link for each of `world_size` threads of this process, through memory that they share. Each link is
// used by one thread; they may be destroyed in any order.
std::vector<std::unique_ptr<Link>> make_in_process_links(const Topology& topology, int world_size,
                                                         const LinkSettings& settings = {});

}  // namespace gossamer
