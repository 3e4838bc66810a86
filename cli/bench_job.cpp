#include "cli/bench_job.h"

#include <cstdio>
#include <exception>

#include "core/error.h"

namespace gossamer {

void run_bench_job(const CommandLine& line, const std::string& alone,
                   const std::function<void(MpiSession& session, std::ofstream* json)>& run) {
  {
    MpiSession session;
    const auto fail = [&](const char* what, int exit_code) {
      std::fprintf(stderr, "gossamer: rank %d: %s\n", session.rank(), what);
      session.abort(exit_code);
    };
    if (session.world_size() > 1) {
      try {
        std::ofstream json;
        const auto given = line.extra.find("json");
        if (session.rank() == 0 && given != line.extra.end()) {
          json.open(given->second);
          if (!json) throw ConfigError("--json " + given->second + ": cannot be written");
        }
        run(session, json.is_open() ? &json : nullptr);
      } catch (const Error& error) {
        fail(error.what(), error.exit_code());
      } catch (const std::exception& error) {
        fail(error.what(), 3);
      }
      return;
    }
  }
  throw ConfigError(alone);
}

}  // namespace gossamer
