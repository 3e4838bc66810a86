// Whatever the text is, a round's metrics are read or refused with FileError, and so is an INI file with
// ConfigError.
#include <cstdint>
#include <string_view>

#include "core/error.h"
#include "core/ini.h"
#include "core/metrics.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    gossamer::to_json(gossamer::round_from_json(text));
  } catch (const gossamer::FileError&) {
  }
  try {
    gossamer::parse_ini(text, "input");
  } catch (const gossamer::ConfigError&) {
  }
  return 0;
}
