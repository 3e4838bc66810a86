#pragma once

#include "cli/command_line.h"

namespace gossamer {

// `gossamer bench train --privacy`: a step by the sum of single examples' clipped gradients, as DP-SGD makes
// it (without the noise), for mlp and cnn at a batch of 256 (or what model.name and client.batch_size name),
// in turn with a step of plain SGD on the same batches and with a loop over the examples. One thread, one
// process.
int bench_clipping(const CommandLine& line);

}  // namespace gossamer
