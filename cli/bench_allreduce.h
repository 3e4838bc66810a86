#pragma once

#include "cli/command_line.h"

namespace gossamer {

// `mpirun -n N gossamer bench allreduce`: our ring over MPI and over ZeroMQ, MPI_Allreduce, and Gloo where it
// was built in, interleaved, at sizes from 4 B to 100 MB (or those of --bytes). A sample is the slowest
// rank's time; sums are compared with float64, and between ranks. Throws ConfigError outside mpirun and on
// --bytes that cannot be, RunError where a sum cannot be finished.
int bench_allreduce(const CommandLine& line);

}  // namespace gossamer
