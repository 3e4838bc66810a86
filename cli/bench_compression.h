#pragma once

#include "cli/command_line.h"

namespace gossamer {

// `gossamer bench compression`: every method beside the same written with libtorch's operators, or, with
// --device cuda, those that have kernels for it on a GPU. Returns the exit code.
int bench_compression(const CommandLine& line);

}  // namespace gossamer
