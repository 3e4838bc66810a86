#pragma once

#include <string>

namespace gossamer {

// Sets spdlog's default logger up: standard error, one plain line a message, `who` ("rank 3") in front where
// it is given. Call once, before threads start.
//   verbosity: -2 and less: errors; -1: and warnings; 0: and information; 1 and more: and debugging
void set_up_logging(int verbosity, const std::string& who = {});

}  // namespace gossamer
