#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.h"

namespace gossamer {

// A flag of one command that is not a key of the configuration: --model FILE.
struct CommandFlag {
  std::string name;   // without the dashes
  std::string value;  // what its value is called in the help; empty for a switch without value
  std::string help;
  bool required = false;
};

// What the command line of one command looks like.
struct CommandSpec {
  std::string name;
  std::string help;           // one line
  bool takes_config = false;  // [CONFIG] [--section.key VALUE ...], --dry-run
  std::string positional;     // what further words are called in the help; empty: there are none
  std::size_t min_positional = 0;
  std::size_t max_positional = 0;
  std::vector<CommandFlag> flags;
};

// The commands that this program has.
const std::vector<CommandSpec>& commands();

struct CommandLine {
  std::string command;  // empty only with `help` or `version`
  Options options;      // defaults, then the configuration file, then the flags
  bool help = false;
  bool version = false;
  bool dry_run = false;
  int verbosity = 0;                         // -q counts down, -v up
  std::map<std::string, std::string> extra;  // the command's own flags that were given; a switch is "true"
  std::vector<std::string> positional;       // without CONFIG
};

// Reads the words after the program's name. Keys are type-checked here; Options::check_methods() is left to
// the caller, after what algorithms preset. Throws ConfigError, one line, on anything that is not understood:
// an unknown command, key or flag (with the nearest known one), a value out of range (from a file: with file
// and line), a missing value, a word too many, a configuration file that cannot be opened.
CommandLine parse_command_line(const std::vector<std::string>& arguments,
                               const std::vector<CommandSpec>& specs,
                               std::shared_ptr<const OptionSchema> schema);

// Sets every key of an INI file. Throws ConfigError with file and line.
void read_config_file(const std::string& path, Options& options);

// `gossamer --help`, and `gossamer COMMAND --help` for the command of that name.
std::string usage(const std::vector<CommandSpec>& specs);
std::string usage(const std::vector<CommandSpec>& specs, std::string_view command,
                  const OptionSchema& schema);

}  // namespace gossamer
