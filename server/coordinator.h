#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/checkpoint.h"
#include "core/metrics.h"
#include "core/options.h"
#include "core/types.h"
#include "core/versioned_model.h"
#include "server/cohort/cohort_sampler.h"
#include "server/server.h"
#include "server/sync/sync_policy.h"

namespace gossamer {

// What the coordinator asks its driver to do, in order.
struct SendModel {
  Round round;
  std::vector<ClientId> clients;  // ascending
  Compressed model;               // encoded once, for all of them
  std::optional<Seconds> deadline;
};
// A new model version exists. The driver completes the metrics (bytes, time, evaluation), records them and
// answers with committed().
struct Commit {
  RoundMetrics metrics;
  std::shared_ptr<const Parameters> model;
};
struct Finish {
  bool success;
  std::string reason;
};
using Action = std::variant<SendModel, Commit, Finish>;
using Actions = std::vector<Action>;

// How many clients a round asks for: cohort.size, or max(C * K, 1) (McMahan et al. 2017).
std::int64_t cohort_size(const Options& options);

// The state machine of a run: membership, cohorts, rounds. Events go in, each with the driver's time; actions
// come out. Deterministic, and the same in simulation, under MPI and over ZeroMQ. Not thread-safe.
class Coordinator : public VersionedModel {
 public:
  Coordinator(const Options& options, std::shared_ptr<const Parameters> initial);

  // Events. The first round starts when data.clients clients have joined.
  Actions joined(ClientId client, Seconds now);
  Actions left(ClientId client, const std::string& reason, Seconds now);
  Actions arrived(const CompressedUpdate& update, Seconds now);
  Actions deadline(Round round, Seconds now);
  // The driver has recorded the commit; `accuracy` where the version was evaluated.
  Actions committed(std::optional<double> accuracy, Seconds now);

  const Progress& progress() const noexcept { return progress_; }
  Round version() const noexcept override { return version_; }
  const std::shared_ptr<const Parameters>& model() const noexcept override { return server_.model(); }
  std::int64_t population() const noexcept { return static_cast<std::int64_t>(present_.size()); }
  bool is_present(ClientId client) const { return present_[static_cast<std::size_t>(client)]; }

  void save(CheckpointWriter& writer) override;
  void restore(const CheckpointReader& reader) override;

 private:
  enum class Slot { waiting, held, added, lost };
  struct Participant {
    Slot slot = Slot::waiting;
    std::optional<CompressedUpdate> update;  // held until its turn in client order
  };

  Actions start_round(Seconds now);
  Actions commit_if_ready(Seconds now);
  void add_in_client_order(bool skip_waiting);
  void lose(Participant& participant);
  std::vector<ClientId> sample_cohort() const;

  std::unique_ptr<SyncPolicy> sync_;
  std::unique_ptr<CohortSampler> sampler_;
  Server server_;

  std::uint64_t seed_;
  Round rounds_;
  std::int64_t cohort_size_;
  std::int64_t min_size_;
  Seconds deadline_s_;
  double target_accuracy_;
  double straggler_fraction_;
  bool keeps_partial_work_;

  std::vector<bool> present_;
  std::int64_t present_count_ = 0;
  std::map<ClientId, std::string> lost_;  // who left, and why: what a run that cannot go on reports
  bool running_ = false;
  bool finished_ = false;
  Round version_ = 0;
  Progress progress_;
  Compressed broadcast_;
  std::map<ClientId, Participant> participants_;
  RoundMetrics metrics_;
  double loss_sum_ = 0;
};

}  // namespace gossamer
