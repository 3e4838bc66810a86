#pragma once

#include "core/options.h"

namespace gossamer {

// Keys of the coordinator's side: [run] rounds and evaluation, [server], [cohort], [sync], [devices] as far
// as they decide who is waited for.
void add_server_options(OptionSchema& schema);

}  // namespace gossamer
