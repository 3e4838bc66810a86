#include "cli/bench_server.h"

#include <fstream>

#include "cli/bench_server_parts.h"
#include "core/error.h"

namespace gossamer {

int bench_server(const CommandLine& line) {
  std::ofstream json;
  if (const auto given = line.extra.find("json"); given != line.extra.end()) {
    json.open(given->second);
    if (!json) throw ConfigError("--json " + given->second + ": cannot be written");
  }
  BenchRows rows = BenchRows::array();
  if (line.extra.contains("simulated")) {
    measure_virtual_time(line.options, rows);
  } else {
#ifdef GOSSAMER_HAVE_ZMQ
    measure_transfers(rows);
#endif
    measure_aggregation(line.options, rows);
  }
  if (json.is_open()) json << rows.dump(2) << '\n';
  return 0;
}

}  // namespace gossamer
