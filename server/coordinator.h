#pragma once

#include <cstdint>
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
#include "core/work_terms.h"
#include "server/members.h"
#include "server/server.h"
#include "server/sync/sync_policy.h"

namespace gossamer {

// What the coordinator asks its driver to do, in order.
struct SendModel {
  Round round;                    // of work: the run's in lockstep, otherwise these clients' own
  std::vector<ClientId> clients;  // ascending
  Compressed model;               // encoded once, for all of them
  std::optional<Seconds> deadline;
  Seconds since = 0;   // when this work began
  bool again = false;  // the same work on the same model as before, for one who may have lost it
  WorkTerms terms{};
  std::vector<Compressed> more{};  // the ranges of a server's further shards, where they are in this process
  // Of a difference: the mark of what it is a difference to, of each range. Empty: a whole model.
  std::vector<std::uint64_t> bases{};

  std::uint64_t base() const noexcept { return bases.empty() ? 0 : bases.front(); }
};
// These clients need not finish this round's work: nobody waits for it any more.
struct Abandon {
  Round round;
  std::vector<ClientId> clients;  // ascending
};
// A round is over. The driver completes the metrics (bytes, time, evaluation), records them and answers with
// committed().
struct Commit {
  RoundMetrics metrics;
  bool last = false;   // the run ends with it, and it is evaluated whatever run.eval_every says
  double weight = 0;   // of the updates that went into the round, together
  std::string note{};  // for people; mostly empty
};
struct Finish {
  bool success;
  std::string reason;
};
// Of an aggregator: its answer to its parent's model.
struct Report {
  CompressedUpdate update;
};
// The driver keeps a virtual clock: at this time it says deadline(token).
struct Wake {
  std::int64_t token;
  Seconds at;
};
using Action = std::variant<SendModel, Abandon, Commit, Finish, Report, Wake>;
using Actions = std::vector<Action>;

// How many clients a round asks for, or are at work at any time: cohort.size, or max(C * K, 1) (McMahan et
// al. 2017).
std::int64_t cohort_size(const Options& options);

// What a driver drives. Events go in, each with the driver's time; actions come out. Deterministic, and the
// same in simulation, under MPI and over ZeroMQ. Not thread-safe.
class Coordination : public VersionedModel {
 public:
  // Events. Work starts when all children have joined.
  virtual Actions joined(ClientId client, Seconds now) = 0;
  virtual Actions left(ClientId client, const std::string& reason, Seconds now) = 0;
  virtual Actions arrived(const CompressedUpdate& update, Seconds now) = 0;
  // The client gave up this round of work, and stays.
  virtual Actions dropped(ClientId client, Round round, Seconds now) = 0;
  virtual Actions deadline(Round round, Seconds now) = 0;
  // sync.pull = on_request: the client wants the model. (It says so when it has joined, and whenever it has
  // trained on after an update.)
  virtual Actions ready(ClientId client, Seconds now) {
    static_cast<void>(client), static_cast<void>(now);
    return {};
  }
  // The driver has recorded the commit; `accuracy` where the version was evaluated.
  virtual Actions committed(std::optional<double> accuracy, Seconds now) = 0;

  virtual const Progress& progress() const noexcept = 0;
  // Whose events these are: so many ids from the first on.
  virtual const Children& children() const noexcept = 0;
  virtual std::int64_t population() const noexcept = 0;
  virtual bool is_present(ClientId client) const = 0;
  virtual const ParameterLayout& layout() const { return *model()->layout; }
};

// A round of work that a client is at, and which version of the model it was given, versions being numbered
// from 0 in the order in which they first appear: as a checkpoint numbers them.
struct HeldWork {
  ClientId client;
  Round round;
  std::uint64_t base;
};

// The state machine of a run, or of an aggregator and its children: membership, who works on what, when
// updates become a model.
class Coordinator : public Coordination {
 public:
  // data.clients children.
  Coordinator(const Options& options, std::shared_ptr<const Parameters> initial, Children children);

  Actions committed(std::optional<double> accuracy, Seconds now) override;
  // Of an aggregator, after a commit or before the first round: goes on from its parent's model. In lockstep
  // the next round is the one after `version`.
  virtual void rebase(std::shared_ptr<const Parameters> model, Round version);
  // The children's updates are encoded otherwise than compression.up says.
  void read_updates_with(std::unique_ptr<Compressor> codec) { server_.read_updates_with(std::move(codec)); }

  // Of a server in several shards: what it does to its range from now on, for those that hold the others
  // (Server::take_notes()).
  void take_notes() { server_.take_notes(); }
  std::vector<ShardOrder> notes() { return server_.notes(); }
  // Empty where a checkpoint has no work in it.
  virtual std::vector<HeldWork> held_work() const { return {}; }

  const Progress& progress() const noexcept override { return progress_; }
  // Rounds completed so far.
  Round version() const noexcept override { return version_; }
  const std::shared_ptr<const Parameters>& model() const noexcept override { return server_.model(); }
  const Children& children() const noexcept override { return members_.children(); }
  std::int64_t population() const noexcept override { return members_.population(); }
  bool is_present(ClientId client) const override { return members_.is_present(client); }

  void save(CheckpointWriter& writer) override;
  void restore(const CheckpointReader& reader) override;

 protected:
  // The next round, or as far as the workers can go now.
  virtual Actions go_on(Seconds now) = 0;

  Actions finish(bool success, std::string reason);
  // Opens the metrics of the round after this version.
  void open_round();
  void count_update(const UpdateInfo& info, Round staleness);
  Commit close_round(Seconds now);

  const std::unique_ptr<SyncPolicy> sync_;
  const std::uint64_t seed_;
  const Round rounds_;
  const std::int64_t cohort_size_;
  const std::int64_t min_size_;
  Server server_;
  Members members_;
  bool running_ = false;
  bool finished_ = false;
  Round version_ = 0;
  Progress progress_;
  RoundMetrics metrics_;
  std::int64_t updates_ = 0;  // that count in the round

 private:
  const double target_accuracy_;
  const bool conceals_;  // clients say nothing of their losses
  double loss_sum_ = 0;
  double weight_sum_ = 0;
  double staleness_sum_ = 0;
};

// The coordinator of this `sync.mode`.
std::unique_ptr<Coordinator> make_coordinator(const Options& options,
                                              std::shared_ptr<const Parameters> initial,
                                              Children children = {});

}  // namespace gossamer
