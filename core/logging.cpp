#include "core/logging.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <memory>

namespace gossamer {

void set_up_logging(int verbosity, const std::string& who) {
  constexpr std::array kLevels{spdlog::level::err, spdlog::level::warn, spdlog::level::info,
                               spdlog::level::debug};
  auto logger =
      std::make_shared<spdlog::logger>("gossamer", std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_level(kLevels[static_cast<std::size_t>(std::clamp(verbosity, -2, 1) + 2)]);
  // On a terminal the message first wipes the progress line that the cursor may stand on.
  const std::string wipe = ::isatty(STDERR_FILENO) != 0 ? "\r\x1b[K" : "";
  logger->set_pattern(wipe + "gossamer: " + (who.empty() ? "" : who + ": ") + "%l: %v");
  spdlog::set_default_logger(std::move(logger));
}

void log_error(const std::string& message) { spdlog::error("{}", message); }
void log_warning(const std::string& message) { spdlog::warn("{}", message); }
void log_debug(const std::string& message) { spdlog::debug("{}", message); }
void log_info(const std::string& message) { spdlog::info("{}", message); }

}  // namespace gossamer
