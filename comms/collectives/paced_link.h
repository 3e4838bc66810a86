#pragma once

#include <chrono>
#include <memory>

#include "comms/collectives/link.h"

namespace gossamer {

// A link whose bytes take time but no processor: what this rank sends goes over one wire of so many bytes a
// second (infinity: at once), segment after segment, and on to `link` `latency` after its last byte has left.
// Nothing moves between calls: a segment that is due then is passed on late, which does not hold up those
// behind it. It takes any number of segments, and owes() them until they are passed on. For measurements, and
// to emulate a network. Requires bytes_per_s > 0, latency >= 0.
std::unique_ptr<Link> make_paced_link(std::unique_ptr<Link> link, double bytes_per_s,
                                      std::chrono::nanoseconds latency = {});

}  // namespace gossamer
