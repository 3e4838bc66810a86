#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

struct IniEntry {
  std::string key;  // section.key
  std::string value;
  std::size_t line = 0;  // 1-based
};

// Reads an INI text: [section] lines, key = value lines, empty lines, and comments from # or ; (at a line's
// start, or after a space). A value may stand in double quotes, which keep spaces, # and ;, and in which two
// quotes stand for one. A key before the first section is taken as the full name. `name` stands for the file
// in errors. Throws ConfigError, with file and line, on a line that is none of these and on a key that comes
// twice.
std::vector<IniEntry> parse_ini(std::string_view text, const std::string& name);

// `value` (without line ends) as it must stand after "key = ": in quotes where parse_ini() would change it.
std::string ini_value(std::string_view value);

}  // namespace gossamer
