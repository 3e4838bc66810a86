#pragma once

#include "cli/command_line.h"

namespace gossamer {

// `gossamer bench server`: models and updates of 40 MB over tcp, beside plain ZeroMQ; the mean of 100
// updates, beside the memory bandwidth; with --simulated instead, how many events a second the queue of
// virtual time handles. Each is measured beside what it is compared with, in turn. Throws ConfigError where
// --json cannot be written.
int bench_server(const CommandLine& line);

}  // namespace gossamer
