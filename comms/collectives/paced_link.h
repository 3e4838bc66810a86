#pragma once

#include <memory>

#include "comms/collectives/link.h"

namespace gossamer {

// A link whose bytes take time but no processor: what this rank sends goes over one wire of so many bytes a
// second, segment after segment, and on to `link` when its last byte has left. Nothing moves between calls: a
// segment that is due then is passed on late, which does not hold up those behind it. It takes any number of
// segments, so a rank that has its sum may still owe others theirs: settled() moves them on. For
// measurements. Requires bytes_per_s > 0.
std::unique_ptr<Link> make_paced_link(std::unique_ptr<Link> link, double bytes_per_s);

}  // namespace gossamer
