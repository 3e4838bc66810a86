#include "core/run_folder.h"

#include <array>
#include <string>
#include <system_error>

#include "core/checkpoint.h"
#include "core/error.h"
#include "core/files.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void cannot(const std::string& what, const fs::path& path, const std::error_code& error) {
  throw RunError("cannot " + what + " " + path.string() + ": " + error.message());
}

bool holds_anything(const fs::path& folder) {
  std::error_code error;
  const bool empty = fs::is_empty(folder, error);
  if (error) cannot("read", folder, error);
  return !empty;
}

void delete_earlier_run(const RunFolder& folder) {
  prune_checkpoints(folder.checkpoint_dir(), std::numeric_limits<Round>::max());
  const std::array files{folder.config(), folder.metrics(), folder.summary(),
                         folder.model(),  folder.curve(),   folder.privacy_ledger()};
  for (const fs::path& file : files) {
    std::error_code error;
    fs::remove(file, error);
    if (error) cannot("delete", file, error);
  }
}

fs::path given_folder(const Options& options) {
  const std::string& out = options.text("run.out");
  const fs::path path = out;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (fs::exists(status)) {
    if (!fs::is_directory(status))
      throw ConfigError("run.out = " + out + ": that is a file; expected a folder");
    if (!options.flag("run.resume") && holds_anything(path)) {
      if (!options.flag("run.overwrite")) {
        throw ConfigError("run.out = " + out +
                          ": the folder is not empty; expected a new one, or --run.overwrite, " +
                          "or --run.resume to go on with the run in it");
      }
      delete_earlier_run(RunFolder(path));
    }
  }
  make_folder(path);
  return path;
}

fs::path named_folder(const Options& options) {
  const std::string& name = options.text("run.name");
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    throw ConfigError("run.name = " + name + ": expected a name that can be a folder's, without /");
  }
  const fs::path runs = "runs";
  make_folder(runs);
  const auto numbered = [&](int number) {
    return runs / (number == 1 ? name : name + "-" + std::to_string(number));
  };
  int free = 1;
  if (options.flag("run.resume")) {
    while (fs::exists(numbered(free))) ++free;
    if (free > 1) return numbered(free - 1);
  }
  // Making the folder is the test whether it is free, so that two programs never share one.
  for (;; ++free) {
    std::error_code error;
    if (fs::create_directory(numbered(free), error)) return numbered(free);
    if (error && !fs::exists(numbered(free))) cannot("make the folder", numbered(free), error);
  }
}

// The configuration without what was only said of this one start: run again, it makes a folder of its own.
std::string repeatable_ini(Options options) {
  for (const char* key : {"run.out", "run.overwrite", "run.resume"}) {
    options.set(key, options.schema().find(key)->default_value);
  }
  return options.to_ini();
}

}  // namespace

RunFolder RunFolder::create(const Options& options) {
  RunFolder folder(options.text("run.out").empty() ? named_folder(options) : given_folder(options));
  write_atomically(folder.config(), repeatable_ini(options));
  return folder;
}

}  // namespace gossamer
