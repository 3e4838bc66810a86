#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/registry.h"

namespace gossamer {

// Where a run happens.
enum class RunsIn { anywhere, simulation, mpi, zmq };

// Why this topology, sync mode and algorithm do not go together in that place, and what to use instead, in
// one line; none where they do. The only place that knows.
std::optional<std::string> refusal_of_combination(const std::string& topology, const std::string& mode,
                                                  const std::string& algorithm,
                                                  RunsIn place = RunsIn::anywhere);

// docs/combinations.md: what the table says of all methods of these registries.
std::string combinations_page(const std::vector<MethodGroup>& groups);

}  // namespace gossamer
