#pragma once

#include <fstream>
#include <functional>
#include <string>

#include "cli/command_line.h"
#include "comms/mpi_transport.h"

namespace gossamer {

// Runs a benchmark of at least two ranks. `json` is where rank 0 writes the rows as well, null elsewhere and
// where --json was not given. What goes wrong in a rank is said before the job ends with it. Throws
// ConfigError, with `alone`, for one rank.
void run_bench_job(const CommandLine& line, const std::string& alone,
                   const std::function<void(MpiSession& session, std::ofstream* json)>& run);

}  // namespace gossamer
