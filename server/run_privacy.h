#pragma once

#include <filesystem>
#include <optional>
#include <span>

#include "core/files.h"
#include "core/types.h"
#include "privacy/privacy_ledger.h"

namespace gossamer {

// How this run's releases are counted. Requires a configuration whose topology is settled.
CountingPlan counting_plan(const Options& options);

// What a private run has spent, and the file in its folder that says so before anything is released.
// Not thread-safe.
class RunPrivacy {
 public:
  // A new run. Throws RunError where the file cannot be written.
  RunPrivacy(const Options& options, const std::filesystem::path& file);
  // Goes on with what the file says. Throws FileError where there is no such ledger.
  static RunPrivacy resume(const Options& options, const std::filesystem::path& file);

  // The model is about to be sent to these clients, whose answers are noisy releases. False, and nothing has
  // happened, where that would pass privacy.target_epsilon. Throws RunError where it cannot be stored.
  bool spend(Round round, std::span<const ClientId> clients);
  // The same before a round, for everybody.
  bool open_round(Round round);

  Counting counting() const noexcept { return ledger_.counting(); }
  // Infinite without noise.
  double epsilon() { return ledger_.epsilon(); }

 private:
  RunPrivacy(PrivacyLedger ledger, AppendFile file) : ledger_(std::move(ledger)), file_(std::move(file)) {}

  PrivacyLedger ledger_;
  AppendFile file_;
};

}  // namespace gossamer
