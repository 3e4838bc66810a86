// gossamer bench WHAT: measurements, each beside what it is compared with in the same run.
#ifdef GOSSAMER_HAVE_MPI
#include "cli/bench_allreduce.h"
#include "cli/bench_ddp.h"
#endif
#include "cli/bench_compression.h"
#include "cli/bench_privacy.h"
#include "cli/bench_server.h"
#include "cli/bench_train.h"
#include "cli/commands.h"
#include "core/error.h"

namespace gossamer {

int bench_command(const CommandLine& line) {
  if (line.positional.at(0) == "train") return bench_train(line);
  if (line.positional[0] == "compression") return bench_compression(line);
  if (line.positional[0] == "privacy") return bench_privacy(line);
  if (line.positional[0] == "server") return bench_server(line);
  if (line.positional[0] == "allreduce" || line.positional[0] == "ddp") {
#ifdef GOSSAMER_HAVE_MPI
    return line.positional[0] == "ddp" ? bench_ddp(line) : bench_allreduce(line);
#else
    throw ConfigError("gossamer bench " + line.positional[0] +
                      ": this build has no MPI; configure with -DGOSSAMER_WITH_MPI=ON");
#endif
  }
  throw ConfigError("gossamer bench " + line.positional[0] +
                    ": expected train, compression, allreduce, ddp, server or privacy");
}

}  // namespace gossamer
