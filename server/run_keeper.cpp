#include "server/run_keeper.h"

#include "core/error.h"
#include "core/files.h"
#include "core/logging.h"

namespace gossamer {
namespace {

std::optional<double> target_of(const Options& options) {
  const double target = options.real("run.target_accuracy");
  if (target > 0) return target;
  return std::nullopt;
}

}  // namespace

RunKeeper::RunKeeper(const Options& options, RunFolder folder, std::string clock, ProgressPrinter& progress)
    : options_(options),
      folder_(std::move(folder)),
      clock_(std::move(clock)),
      progress_(progress),
      schedule_(options),
      start_(std::chrono::steady_clock::now()),
      rounds_(options.integer("run.rounds")),
      eval_every_(options.integer("run.eval_every")) {}

std::optional<double> RunKeeper::commit(const Commit& commit, VersionedModel& subject) {
  RoundMetrics metrics = commit.metrics;
  metrics.clock = clock_;
  // The commit has what others than the driver counted: peers, and aggregators of a tree.
  metrics.bytes_up += std::exchange(bytes_up_, 0);
  metrics.bytes_down += std::exchange(bytes_down_, 0);
  metrics.bytes_control = std::exchange(bytes_control_, 0);
  if (metrics.round % eval_every_ == 0 || metrics.round == rounds_ || commit.last) {
    const Evaluation evaluation = services_.evaluate(*subject.model());
    metrics.test_accuracy = evaluation.accuracy();
    metrics.test_loss = evaluation.loss();
  }
  if (privacy_) {
    metrics.epsilon = privacy_->epsilon();
    out_of_budget_ = metrics.round < rounds_ && !commit.last && !open_round(metrics.round + 1);
  }
  metrics.wall_s = wall_s();
  metrics.rss_mb = resident_mb();
  recorder_->add(metrics);
  progress_.round_done(metrics);
  if (!commit.note.empty()) log_info("round " + std::to_string(metrics.round) + ": " + commit.note);
  if (schedule_.due(metrics.round)) checkpoint(subject);
  return metrics.test_accuracy;
}

RunSummary RunKeeper::finish(VersionedModel& subject, const std::string& stopped_by) {
  progress_.finish();
  // Clients that keep a state may be in the middle of a round; what they had at the last commit is gone.
  const bool at_a_commit = !services_.save_clients && subject.can_save();
  if (at_a_commit && schedule_.enabled() && last_checkpoint_ < subject.version()) checkpoint(subject);
  services_.save_model(*subject.model(), folder_.model());
  RunSummary summary = recorder_->summary(sha256(subject.model()->values), stopped_by);
  summary.wall_s = wall_s();
  if (const auto seed = privacy_plan(options_).insecure_seed)
    summary.insecure_seed = static_cast<std::int64_t>(*seed);
  if (services_.spilled_bytes) summary.spilled_mb = static_cast<double>(services_.spilled_bytes()) * 1e-6;
  write_atomically(folder_.summary(), to_json(summary) + "\n");
  return summary;
}

std::optional<CheckpointReader> RunKeeper::resume(VersionedModel& subject) {
  std::optional<Round> round;
  if (options_.flag("run.resume")) round = latest_checkpoint(folder_.checkpoint_dir());
  if (!round) {
    recorder_.emplace(folder_.metrics(), target_of(options_));
    begin_privacy(0);
    return std::nullopt;
  }
  CheckpointReader reader(checkpoint_path(folder_.checkpoint_dir(), *round));
  if (reader.pod<std::uint64_t>("config") != options_.digest()) {
    throw ConfigError("run.resume = true: " + folder_.path().string() +
                      " was trained under another configuration; resume it with its own config.ini");
  }
  subject.restore(reader);
  begin_privacy(*round);
  recorder_ = RunRecorder::resume(folder_.metrics(), target_of(options_), reader.text("history"));
  wall_offset_ = recorder_->wall_s();
  last_checkpoint_ = *round;
  progress_.start_at(*round, wall_offset_);
  return reader;
}

// A resumed run goes on with what was spent, also after its last checkpoint.
void RunKeeper::begin_privacy(Round version) {
  if (!privacy_plan(options_).is_private()) return;
  if (options_.flag("run.resume") && std::filesystem::exists(folder_.metrics())) {
    privacy_ = RunPrivacy::resume(options_, folder_.privacy_ledger());
  } else {
    privacy_.emplace(options_, folder_.privacy_ledger());
  }
  if (version < rounds_ && !open_round(version + 1))
    throw RunError("privacy.target_epsilon = " + options_.raw("privacy.target_epsilon") +
                   ": this run has spent it; the model of its last round is in " + folder_.path().string());
}

bool RunKeeper::open_round(Round round) {
  return privacy_->counting() != Counting::rounds || privacy_->open_round(round);
}

bool RunKeeper::spend(const SendModel& send) {
  return !privacy_ || privacy_->counting() != Counting::participations ||
         privacy_->spend(send.round, send.clients);
}

bool RunKeeper::spend_grant(Round round) {
  return !privacy_ || privacy_->counting() != Counting::grants || privacy_->open_round(round);
}

void RunKeeper::checkpoint(VersionedModel& subject) {
  CheckpointWriter writer;
  writer.add_pod("config", options_.digest());
  writer.add_text("history", recorder_->state());
  subject.save(writer);
  if (services_.save_clients) services_.save_clients(writer);
  writer.commit(checkpoint_path(folder_.checkpoint_dir(), subject.version()));
  prune_checkpoints(folder_.checkpoint_dir(), last_checkpoint_);
  last_checkpoint_ = subject.version();
}

double RunKeeper::wall_s() const {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  return wall_offset_ + elapsed.count();
}

}  // namespace gossamer
