#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "core/checkpoint_schedule.h"
#include "core/evaluator.h"
#include "core/metrics.h"
#include "core/progress.h"
#include "core/run_folder.h"
#include "core/versioned_model.h"
#include "server/coordinator.h"
#include "server/run_privacy.h"

namespace gossamer {

// What a run needs from those who know models and clients.
struct RunServices {
  std::function<Evaluation(const Parameters&)> evaluate;
  std::function<void(const Parameters&, const std::filesystem::path&)> save_model;
  // Adds the states of clients that live in the coordinator's own process; empty where they keep none.
  std::function<void(CheckpointWriter&)> save_clients;
  // Bytes of clients' states that have been written to a file for want of memory; empty where none can be.
  std::function<std::uint64_t()> spilled_bytes;
};

// What happens to a run's folder, the same under every driver: counts bytes, evaluates, records metrics,
// writes checkpoints, and at the end summary and model. Used by one thread.
class RunKeeper {
 public:
  // `clock` says which time the driver keeps: "virtual" or "wall". `options` and `progress` outlive the
  // keeper.
  RunKeeper(const Options& options, RunFolder folder, std::string clock, ProgressPrinter& progress);

  // To be called first. Where run.resume asks for it and the folder has a checkpoint: puts the subject and
  // the history back and returns the checkpoint, from which the driver restores its clients. Throws
  // ConfigError where the checkpoint was written under a configuration that trains something else, FileError
  // where none is whole.
  std::optional<CheckpointReader> resume(VersionedModel& subject);
  void set_services(RunServices services) { services_ = std::move(services); }

  void count_up(std::uint64_t bytes) noexcept { bytes_up_ += bytes; }
  void count_down(std::uint64_t bytes) noexcept { bytes_down_ += bytes; }
  void count_control(std::uint64_t bytes) noexcept { bytes_control_ += bytes; }

  // What the earlier parts of a resumed run have used of the driver's clock.
  Seconds time_offset() const noexcept { return recorder_->time_s(); }
  // Between commits: how far the round is.
  void show(const Progress& round) {
    if (progress_.is_live()) progress_.inside_round(round.round, round.arrived, round.started, wall_s());
  }
  // Of a private run, before a model is sent, or before peers are told to begin a round: notes down what that
  // costs. False where it would pass privacy.target_epsilon: then the run ends, stopped by kOutOfBudget.
  bool spend(const SendModel& send);
  bool spend_grant(Round round);
  // After a commit: whether the next round would pass it.
  bool out_of_budget() const noexcept { return out_of_budget_; }
  static constexpr const char* kOutOfBudget = "target_epsilon";

  // Returns the accuracy if this version was evaluated.
  std::optional<double> commit(const Commit& commit, VersionedModel& subject);
  // Writes summary and model. `stopped_by`: rounds, target_accuracy, signal, or why the run failed.
  RunSummary finish(VersionedModel& subject, const std::string& stopped_by);

  const RunFolder& folder() const noexcept { return folder_; }

 private:
  void checkpoint(VersionedModel& subject);
  void begin_privacy(Round version);
  bool open_round(Round round);
  double wall_s() const;

  const Options& options_;
  RunFolder folder_;
  RunServices services_;
  std::string clock_;
  ProgressPrinter& progress_;
  CheckpointSchedule schedule_;
  std::optional<RunPrivacy> privacy_;
  bool out_of_budget_ = false;
  std::optional<RunRecorder> recorder_;  // from the constructor, or from resume()
  std::chrono::steady_clock::time_point start_;
  double wall_offset_ = 0;
  Round rounds_, eval_every_;
  Round last_checkpoint_ = 0;
  std::uint64_t bytes_up_ = 0, bytes_down_ = 0, bytes_control_ = 0;
};

}  // namespace gossamer
