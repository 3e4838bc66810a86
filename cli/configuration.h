#pragma once

#include <memory>
#include <vector>

#include "cli/combinations.h"
#include "core/options.h"
#include "core/registry.h"

namespace gossamer {

// Every registry of the program, in the order of `gossamer list`.
std::vector<MethodGroup> all_methods();

// Every key that the program knows.
std::shared_ptr<const OptionSchema> full_schema();

// Applies what the chosen algorithm implies and refuses what cannot work together, with one line that says
// why and what to use instead. Call once, after all keys have been set and the data has been loaded (which
// settles data.clients). `examples_a_client`: on average, 0 where there is no data; the same in all processes
// of a run. Throws ConfigError.
void resolve(Options& options, RunsIn place = RunsIn::anywhere, double examples_a_client = 0);

}  // namespace gossamer
