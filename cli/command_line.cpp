#include "cli/command_line.h"

#include <algorithm>
#include <array>
#include <boost/program_options.hpp>
#include <optional>

#include "core/error.h"
#include "core/files.h"
#include "core/ini.h"
#include "core/text.h"

namespace gossamer {
namespace {

namespace po = boost::program_options;

constexpr std::array<std::string_view, 5> kSwitches{"help", "version", "dry-run", "quiet", "verbose"};
constexpr std::size_t kLargestConfig = std::size_t{1} << 20U;

std::string joined_names(const std::vector<CommandSpec>& specs) {
  std::string names;
  for (const CommandSpec& spec : specs) names += (names.empty() ? "" : ", ") + spec.name;
  return names;
}

const CommandSpec& find_command(const std::vector<CommandSpec>& specs, std::string_view name) {
  const auto found = std::ranges::find(specs, name, &CommandSpec::name);
  if (found != specs.end()) return *found;
  std::vector<std::string> names;
  for (const CommandSpec& spec : specs) names.push_back(spec.name);
  throw ConfigError("unknown command " + std::string(name) + "; the nearest is " + nearest_word(name, names) +
                    " (commands: " + joined_names(specs) + ")");
}

std::string_view long_name(char letter, const std::string& word) {
  switch (letter) {
    case 'h':
      return "help";
    case 'q':
      return "quiet";
    case 'v':
      return "verbose";
    default:
      throw ConfigError(word + ": unknown flag; flags of one letter are -h, -q and -v");
  }
}

bool is_flag_value(std::string_view word) {
  constexpr std::array<std::string_view, 8> kWords{"true", "false", "on", "off", "yes", "no", "1", "0"};
  return std::ranges::find(kWords, word) != kWords.end();
}

// What one --word means for this command.
enum class WordKind { on_off_switch, flag_key, valued };

class Grammar {
 public:
  Grammar(const CommandSpec* command, const OptionSchema& schema) : command_(command), schema_(schema) {}

  WordKind kind_of(const std::string& name) const {
    if (std::ranges::find(kSwitches, name) != kSwitches.end()) {
      if (name != "dry-run" || takes_config()) return WordKind::on_off_switch;
    }
    if (const CommandFlag* flag = command_flag(name)) {
      return flag->value.empty() ? WordKind::on_off_switch : WordKind::valued;
    }
    const OptionSpec* key = takes_config() ? schema_.find(name) : nullptr;
    if (key == nullptr) refuse(name);
    return key->kind == OptionKind::flag ? WordKind::flag_key : WordKind::valued;
  }

  const CommandFlag* command_flag(const std::string& name) const {
    if (command_ == nullptr) return nullptr;
    const auto found = std::ranges::find(command_->flags, name, &CommandFlag::name);
    return found == command_->flags.end() ? nullptr : &*found;
  }

 private:
  bool takes_config() const { return command_ != nullptr && command_->takes_config; }

  [[noreturn]] void refuse(const std::string& name) const {
    std::vector<std::string> known(kSwitches.begin(), kSwitches.end());
    if (command_ != nullptr) {
      for (const CommandFlag& flag : command_->flags) known.push_back(flag.name);
    }
    if (takes_config()) {
      for (const OptionSpec& spec : schema_.specs()) known.push_back(spec.key);
    }
    throw ConfigError("--" + name + ": unknown key" +
                      (command_ != nullptr ? " for gossamer " + command_->name : std::string()) +
                      "; the nearest known one is --" + nearest_word(name, known));
  }

  const CommandSpec* command_;
  const OptionSchema& schema_;
};

// Takes a flag with its value, if it has one, off the front: `-q`, `-vv`, `--name`, `--name=value` or `--name
// value`. Boost.Program_options calls this for every word; on its own it would take a negative number for a
// flag, and would not let the value of a true-or-false key be left out.
std::vector<po::option> take_flag(const Grammar& grammar, std::vector<std::string>& words) {
  std::vector<po::option> taken;
  const std::string word = words.front();
  if (word.size() < 2 || word.front() != '-' || word == "--") return taken;
  words.erase(words.begin());
  const auto take = [&](const std::string& name, const std::string& value) {
    taken.emplace_back(name, std::vector<std::string>{value});
  };
  if (word[1] != '-') {
    for (const char letter : word.substr(1)) take(std::string(long_name(letter, word)), "true");
    return taken;
  }
  const std::size_t equals = word.find('=');
  const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
  const bool has_value = equals != std::string::npos;
  const std::string value = has_value ? word.substr(equals + 1) : "true";
  const auto take_next = [&] {
    take(name, words.front());
    words.erase(words.begin());
  };
  switch (grammar.kind_of(name)) {
    case WordKind::on_off_switch:
      if (has_value) throw ConfigError("--" + name + " = " + value + ": this flag takes no value");
      take(name, value);
      break;
    case WordKind::flag_key:
      if (!has_value && !words.empty() && is_flag_value(words.front())) {
        take_next();
      } else {
        take(name, value);
      }
      break;
    case WordKind::valued:
      if (has_value) {
        take(name, value);
      } else if (words.empty() || words.front().starts_with("--")) {
        // A value that begins with two dashes has to be written --name=--value.
        throw ConfigError("--" + name + ": a value is missing");
      } else {
        take_next();
      }
      break;
  }
  return taken;
}

po::parsed_options parse_words(const std::vector<std::string>& arguments, const Grammar& grammar) {
  po::options_description known;
  known.add_options()("word", po::value<std::vector<std::string>>());
  po::positional_options_description words;
  words.add("word", -1);
  return po::command_line_parser(arguments)
      .options(known)
      .positional(words)
      .style(po::command_line_style::allow_long | po::command_line_style::long_allow_adjacent)
      .extra_style_parser([&](std::vector<std::string>& rest) { return take_flag(grammar, rest); })
      .allow_unregistered()
      .run();
}

// Control characters in a value could not be written to config.ini and read back.
void check_value(const std::string& key, const std::string& value) {
  if (std::ranges::any_of(value, [](unsigned char c) { return c < 0x20 || c == 0x7F; })) {
    throw ConfigError("--" + key + ": the value holds a control character; expected plain text");
  }
}

std::size_t command_position(const std::vector<std::string>& arguments) {
  const auto found =
      std::ranges::find_if(arguments, [](const std::string& word) { return !word.starts_with('-'); });
  return static_cast<std::size_t>(found - arguments.begin());
}

std::string synopsis(const CommandSpec& spec) {
  std::string line = "gossamer " + spec.name;
  if (!spec.positional.empty()) {
    const std::string dots = spec.max_positional > 1 ? "..." : "";
    line += spec.min_positional == 0 ? " [" + spec.positional + "]" + dots : " " + spec.positional + dots;
  }
  if (spec.takes_config) line += " [CONFIG]";
  for (const CommandFlag& flag : spec.flags) {
    const std::string words = "--" + flag.name + (flag.value.empty() ? "" : " " + flag.value);
    line += flag.required ? " " + words : " [" + words + "]";
  }
  if (spec.takes_config) line += " [--section.key VALUE ...]";
  return line;
}

constexpr std::string_view kCommonFlags =
    "  -q, --quiet            less output; twice: errors only\n"
    "  -v, --verbose          more output\n"
    "  -h, --help             this text\n";

}  // namespace

const std::vector<CommandSpec>& commands() {
  static const std::vector<CommandSpec> table{
      {"simulate", "virtual clients in one process", true, "", 0, 0, {}},
      {"train", "one MPI rank: mpirun -n N gossamer train", true, "", 0, 0, {}},
      {"server", "ZeroMQ server", true, "", 0, 0, {}},
      {"client", "ZeroMQ client; --client.id says which", true, "", 0, 0, {}},
      {"evaluate",
       "accuracy and loss of a saved model",
       true,
       "",
       0,
       0,
       {{"model", "FILE", "the model.pt of a run", true}}},
      {"plot",
       "curves of one or more runs",
       false,
       "RUN_DIR",
       1,
       1000,
       {{"x", "FIELDS",
         "round, bytes, bytes_up, epsilon, time or wall; several, with commas, make a panel each (default "
         "round)"},
        {"y", "FIELDS", "fields of metrics.jsonl; several make a row of panels each (default test_accuracy)"},
        {"log", "", "logarithmic x axes"},
        {"out", "FILE", "FILE.svg, FILE.png or FILE.csv (default curve.svg)"}}},
      {"list",
       "every registered method",
       false,
       "KIND",
       0,
       1,
       {{"reference", "FILE", "write the tables of keys and methods into that page instead"},
        {"combinations", "FILE", "write which topologies, sync modes and algorithms go together instead"}}},
      {"pca",
       "a data set of examples along their principal directions, found with noise",
       true,
       "",
       0,
       0,
       {{"dimensions", "N", "how many", true},
        {"noise", "S",
         "standard deviation of the noise on the sum of x x^T over examples x of length 1; 0: no privacy",
         true},
        {"out", "DIR", "x_train.npy, y_train.npy, x_test.npy, y_test.npy and a configuration, data.ini",
         true}}},
      {"account",
       "the privacy that noise buys: epsilon, or the noise or the steps for one",
       false,
       "",
       0,
       0,
       {{"sampling_rate", "Q", "probability with which a record takes part in a step", true},
        {"noise_multiplier", "S",
         "standard deviation of the noise (laplace: its scale) over the sensitivity"},
        {"steps", "T", "how many"},
        {"delta", "D", "epsilon holds but for this probability", true},
        {"target_epsilon", "E", "in place of the noise or of the steps, which are then the answer"},
        {"mechanism", "gaussian|laplace|pure",
         "the noise (default gaussian); pure: anything of epsilon 1 / noise_multiplier a step"},
        {"accountant", "rdp|pld", "how epsilon is bounded (default rdp)"},
        {"conversion", "improved|classic", "rdp: from Renyi divergence to epsilon (default improved)"}}},
      {"bench",
       "benchmarks: train, compression, allreduce, ddp, server, privacy",
       true,
       "WHAT",
       1,
       1,
       {{"json", "FILE", "write the rows there too"},
        {"bytes", "N,N,...", "allreduce: only these sizes, in bytes"},
        {"kept_memory", "", "allreduce: with memory kept in the process, as runs have it"},
        {"device", "cpu|cuda", "compression: where the methods run (default cpu)"},
        {"privacy", "", "train: steps by single examples' clipped gradients"},
        {"simulated", "", "server: only the queue of virtual time"}}},
  };
  return table;
}

void read_config_file(const std::string& path, Options& options) {
  std::string text;
  try {
    text = read_text(path, kLargestConfig);
  } catch (const FileError& e) {
    throw ConfigError(std::string("configuration file: ") + e.what());
  }
  for (const IniEntry& entry : parse_ini(text, path)) {
    try {
      options.set(entry.key, entry.value);
    } catch (const ConfigError& e) {
      throw ConfigError(path + ":" + std::to_string(entry.line) + ": " + e.what());
    }
  }
}

CommandLine parse_command_line(const std::vector<std::string>& arguments,
                               const std::vector<CommandSpec>& specs,
                               std::shared_ptr<const OptionSchema> schema) {
  CommandLine line{.command = {}, .options = Options(schema), .extra = {}, .positional = {}};
  const std::size_t position = command_position(arguments);
  const CommandSpec* command =
      position < arguments.size() ? &find_command(specs, arguments[position]) : nullptr;
  const Grammar grammar(command, *schema);

  std::vector<std::string> words = arguments;
  if (command != nullptr) {
    line.command = command->name;
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(position));
  }
  std::vector<std::pair<std::string, std::string>> keys;
  for (const po::option& option : parse_words(words, grammar).options) {
    const std::string& name = option.string_key;
    const std::string value = option.value.empty() ? "" : option.value.front();
    if (option.position_key >= 0) {
      line.positional.push_back(value);
    } else if (name == "help") {
      line.help = true;
    } else if (name == "version") {
      line.version = true;
    } else if (name == "dry-run") {
      line.dry_run = true;
    } else if (name == "quiet") {
      --line.verbosity;
    } else if (name == "verbose") {
      ++line.verbosity;
    } else if (grammar.command_flag(name) != nullptr) {
      line.extra[name] = value;
    } else {
      check_value(name, value);
      keys.emplace_back(name, value);
    }
  }
  if (line.help || line.version) return line;
  if (command == nullptr) throw ConfigError("a command is missing; expected one of " + joined_names(specs));

  std::optional<std::string> config;
  if (command->takes_config && line.positional.size() > command->min_positional) {
    config = line.positional[command->min_positional];
    line.positional.erase(line.positional.begin() + static_cast<std::ptrdiff_t>(command->min_positional));
  }
  if (line.positional.size() < command->min_positional) {
    throw ConfigError("gossamer " + command->name + ": " + command->positional +
                      " is missing; usage: " + synopsis(*command));
  }
  if (line.positional.size() > command->max_positional) {
    throw ConfigError("gossamer " + command->name + ": unexpected word " +
                      line.positional[command->max_positional] + "; usage: " + synopsis(*command));
  }
  for (const CommandFlag& flag : command->flags) {
    if (flag.required && !line.extra.contains(flag.name)) {
      throw ConfigError("gossamer " + command->name + ": --" + flag.name + " " + flag.value + " is missing");
    }
  }
  if (config) read_config_file(*config, line.options);
  for (const auto& [key, value] : keys) line.options.set(key, value);
  return line;
}

std::string usage(const std::vector<CommandSpec>& specs) {
  std::string text = "gossamer trains one model on many machines.\n\nusage:\n";
  std::size_t width = 0;
  for (const CommandSpec& spec : specs) width = std::max(width, spec.name.size());
  for (const CommandSpec& spec : specs)
    text += "  gossamer " + padded(spec.name, width + 2) + spec.help + '\n';
  text += "\nflags:\n" + std::string(kCommonFlags) +
          "      --version          version and what was built in\n\n"
          "gossamer COMMAND --help says more. Without a configuration, every key has a default.\n";
  return text;
}

std::string usage(const std::vector<CommandSpec>& specs, std::string_view command,
                  const OptionSchema& schema) {
  const CommandSpec& spec = find_command(specs, command);
  std::string text = synopsis(spec) + "\n    " + spec.help + "\n\nflags:\n";
  std::size_t flag_width = 25;
  const auto flag_words = [](const CommandFlag& flag) {
    return "      --" + flag.name + (flag.value.empty() ? "" : " " + flag.value);
  };
  for (const CommandFlag& flag : spec.flags) flag_width = std::max(flag_width, flag_words(flag).size() + 2);
  for (const CommandFlag& flag : spec.flags) text += padded(flag_words(flag), flag_width) + flag.help + '\n';
  if (spec.takes_config) text += "      --dry-run            say what would happen, and stop\n";
  text += kCommonFlags;
  if (!spec.takes_config) return text;
  text += "\nkeys, with their defaults (in a configuration file: [section], then key = value):\n";
  std::size_t width = 0;
  for (const OptionSpec& key : schema.specs())
    width = std::max(width, key.key.size() + key.default_value.size());
  for (const OptionSpec& key : schema.specs()) {
    text += "  --" + padded(key.key + " " + key.default_value, std::min<std::size_t>(width, 40) + 3) +
            key.help + '\n';
  }
  return text;
}

}  // namespace gossamer
