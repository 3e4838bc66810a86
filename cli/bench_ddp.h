#pragma once

#include "cli/command_line.h"

namespace gossamer {

// `mpirun -n N gossamer bench ddp`: how long a step of sync_sgd takes the ranks of one machine, over `ring`
// and MPI, for the CNN and an MLP of 10 M parameters at batch sizes 10 and 64 (or those that model.name and
// client.batch_size name); in turn with the same steps without communication, and with a wire that takes as
// long as these for a step's gradients. Throws ConfigError for one rank alone.
int bench_ddp(const CommandLine& line);

}  // namespace gossamer
