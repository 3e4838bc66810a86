#pragma once

#include <string>

namespace gossamer {

// Sets the process's log up: standard error, one plain line a message, `who` ("rank 3") in front where
// it is given. Call once, before threads start.
//   verbosity: -2 and less: errors; -1: and warnings; 0: and information; 1 and more: and debugging
void set_up_logging(int verbosity, const std::string& who = {});

// One line of the log each; any thread. (spdlog stays behind these: libtorch 2 brings a copy of the
// formatting library that spdlog uses, and the two cannot be included together.)
void log_error(const std::string& message);
void log_warning(const std::string& message);
void log_info(const std::string& message);
void log_debug(const std::string& message);

}  // namespace gossamer
