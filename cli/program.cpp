// The program: one command line, one command, one exit code.

#include <csignal>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/list.h"
#include "cli/plot.h"
#include "core/error.h"
#include "core/logging.h"
#include "core/tuning.h"

namespace gossamer {
namespace {

using Command = std::function<int(const CommandLine&)>;

std::map<std::string, Command> command_table() {
  return {
      {"simulate", simulate_command},
#ifdef GOSSAMER_HAVE_MPI
      {"train", train_command},
#endif
#ifdef GOSSAMER_HAVE_ZMQ
      {"server", server_command},
      {"client", client_command},
#endif
      {"evaluate", evaluate_command},
      {"plot", plot_command},
      {"list", [](const CommandLine& line) { return list_command(line, all_methods()); }},
      {"pca", pca_command},
      {"account", account_command},
      {"bench", bench_command},
  };
}

int run(int argc, char** argv) {
  const auto schema = full_schema();
  const CommandLine line = parse_command_line({argv + 1, argv + argc}, commands(), schema);
  if (line.version) {
    std::cout << "gossamer " GOSSAMER_VERSION "\n";
    return 0;
  }
  if (line.help) {
    std::cout << (line.command.empty() ? usage(commands()) : usage(commands(), line.command, *schema));
    return 0;
  }
  set_up_logging(line.verbosity);
  // What all-reduces are compared with is measured as other programs have it, unless it is asked for as runs
  // do.
  const bool compares = line.command == "bench" && line.positional.at(0) == "allreduce";
  if (!compares || line.extra.contains("kept_memory")) tune_allocator();
  const auto table = command_table();
  const auto command = table.find(line.command);
  if (command == table.end()) {
    throw ConfigError("gossamer " + line.command +
                      ": this build has no transport for it; configure with -DGOSSAMER_WITH_" +
                      (line.command == "train" ? "MPI" : "ZMQ") + "=ON");
  }
  return command->second(line);
}

}  // namespace
}  // namespace gossamer

extern "C" int gossamer_main(int argc, char** argv) {
  // A file that grows beyond ulimit -f fails like one on a full disk: with an error, not with a signal.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    return gossamer::run(argc, argv);
  } catch (const gossamer::Error& error) {
    std::fprintf(stderr, "gossamer: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gossamer: internal error: %s\n", error.what());
    return 3;
  }
}
