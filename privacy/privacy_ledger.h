#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/options.h"
#include "core/types.h"
#include "privacy/privacy_plan.h"

namespace gossamer {

// What the releases of a run are counted by.
enum class Counting {
  participations,  // of each client, since the server asks each; the client with the most says what was spent
  rounds,          // everybody's at once: a Poisson cohort's, whose members are secret; below aggregators
  grants,          // the same for peers, who are told how far they may go
};

// How the run's releases are counted, and how many one client can take part in during one of `run.rounds`.
struct CountingPlan {
  Counting by = Counting::participations;
  std::uint64_t releases_a_round = 1;
  // Participations of one client that the whole run plans, at most or (cohorts of a part) in all likelihood.
  std::uint64_t planned = 0;
};

// A run's ledger: what was released so far, and what that has cost. It does not store itself: each spend_
// returns a line, to be stored before what it stands for is released. Holds a number for each client that
// took part. Not thread-safe.
class PrivacyLedger {
 public:
  PrivacyLedger(const Options& options, const CountingPlan& counting);

  Counting counting() const noexcept { return counting_.by; }
  // The first line of the file.
  std::string head() const;

  // Whether one more release for each of these clients, or one more round, keeps to privacy.target_epsilon.
  bool allows(std::span<const ClientId> clients) const;
  bool allows_round() const;
  std::string spend(Round round, std::span<const ClientId> clients);
  std::string spend_round(Round round);

  // What was stored, head included; an unfinished last line stands for nothing, since it came before its
  // release. Returns how many bytes count. Throws FileError where it is no ledger of this run.
  std::size_t restore(std::string_view text, const std::string& name);

  // At privacy.delta, spent so far; the most over clients. Infinite without noise.
  double epsilon();

 private:
  void count(ClientId client);

  PrivacyPlan plan_;
  CountingPlan counting_;
  std::function<std::unique_ptr<PrivacyAccountant>()> make_;
  std::uint64_t allowed_;  // releases for one client
  std::vector<std::uint32_t> participations_;
  std::uint64_t most_ = 0;                                 // releases for one client so far
  std::optional<std::pair<std::uint64_t, double>> known_;  // most_ and its epsilon
};

}  // namespace gossamer
