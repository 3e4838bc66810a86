#pragma once

#include <filesystem>

#include "core/options.h"

namespace gossamer {

// Where a run's results lie (docs/reference.md, "A run's folder"). Immutable.
class RunFolder {
 public:
  // Makes the folder of a new run and writes its config.ini. Reads run.name, run.out, run.overwrite and
  // run.resume.
  //   run.out given:  that folder. If it holds anything: ConfigError, unless run.resume (everything stays) or
  //                   run.overwrite (the files of an earlier run are deleted, other people's are not).
  //   otherwise:      runs/<run.name>, or with the next free suffix -2, -3, ...; under run.resume the last
  //   one
  //                   that exists. Two programs that start at once get two folders.
  // Throws RunError, one line with path and reason, where the folder cannot be written.
  static RunFolder create(const Options& options);

  // A folder as it is; nothing is checked or made.
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path config() const { return path_ / "config.ini"; }
  std::filesystem::path metrics() const { return path_ / "metrics.jsonl"; }
  std::filesystem::path summary() const { return path_ / "summary.json"; }
  std::filesystem::path model() const { return path_ / "model.pt"; }
  // What a private run has spent.
  std::filesystem::path privacy_ledger() const { return path_ / "privacy_ledger.jsonl"; }
  std::filesystem::path checkpoint_dir() const {
    return path_ / "checkpoint";
  }  // made by the first checkpoint
  std::filesystem::path curve() const { return path_ / "curve.svg"; }

 private:
  std::filesystem::path path_;
};

}  // namespace gossamer
