// gossamer bench WHAT: measurements, each beside what it is compared with in the same run.
#include "cli/bench_train.h"
#include "cli/commands.h"
#include "core/error.h"

namespace gossamer {

int bench_command(const CommandLine& line) {
  if (line.positional.at(0) == "train") return bench_train(line);
  throw ConfigError("gossamer bench " + line.positional[0] + ": expected train");
}

}  // namespace gossamer
