#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "core/types.h"

namespace gossamer {

// What one round did: a line of metrics.jsonl. Bytes, clients and samples are of this round alone.
struct RoundMetrics {
  Round round = 0;
  Seconds time_s = 0;                   // since the start of the run, on the clock that `clock` names
  double wall_s = 0;                    // since the start of the run, over all its resumptions
  std::optional<double> test_accuracy;  // 0 .. 1; none where the round was not evaluated
  std::optional<double> test_loss;
  double train_loss = 0;
  std::int64_t clients = 0;   // whose updates went into the round
  std::int64_t dropped = 0;   // asked, but gone or too late
  std::int64_t rejected = 0;  // answered with an update that was refused
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::uint64_t bytes_control = 0;
  double staleness_mean = 0;  // rounds
  std::int64_t staleness_max = 0;
  std::optional<double> epsilon;  // spent so far; none without a privacy mechanism
  // Of the updates, those that the server had to clip again; none where it does not clip.
  std::optional<std::int64_t> reclipped;
  std::optional<double> clip_norm;  // of the updates, where the server chooses it
  std::int64_t samples = 0;         // examples processed, counting repeats
  // Peers with models of their own: root of the mean square distance from their mean, where it is evaluated.
  std::optional<double> consensus_distance;
  std::string clock = "virtual";  // or "wall"
  std::optional<double> rss_mb;  // resident memory of the recording process at the round's end, in 10^6 bytes
  std::string compression;       // by which the updates travelled, where the server chooses; else empty

  bool operator==(const RoundMetrics&) const = default;
};

// What a run came to: summary.json.
struct RunSummary {
  std::int64_t rounds = 0;
  std::optional<double> final_test_accuracy;  // of the last round that was evaluated
  std::optional<double> best_test_accuracy;
  // Where the best-so-far accuracy reaches the target, linear between evaluations (McMahan et al. 2016);
  // none without a target or where it was not reached.
  std::optional<double> rounds_to_target;
  std::uint64_t bytes_up = 0;  // totals of the run
  std::uint64_t bytes_down = 0;
  std::uint64_t bytes_control = 0;
  double time_s = 0;
  double wall_s = 0;
  double samples_per_s = 0;  // samples of all rounds over wall_s
  double peak_rss_mb = 0;    // of this process, in 10^6 bytes
  double spilled_mb = 0;     // of clients' states, written to a file for want of memory, in 10^6 bytes
  std::optional<double> epsilon;
  std::optional<std::int64_t> insecure_seed;  // of noise that is therefore no protection
  std::string compression;                    // that of the last round, where the server chose it; else empty
  std::string model_sha256;
  std::string stopped_by;

  bool operator==(const RunSummary&) const = default;
};

// One JSON object on one line, keys in the order of docs/reference.md. What does not apply, or is not
// finite (the loss of a run that diverged), is null.
std::string to_json(const RoundMetrics& metrics);
std::string to_json(const RunSummary& summary);
// Throw FileError on anything but such an object; unknown keys are ignored. A null train_loss is NaN.
RoundMetrics round_from_json(std::string_view json);
RunSummary summary_from_json(std::string_view json);

// The rounds of a metrics.jsonl. A last line without its end (the process died) is left out; any other
// fault throws FileError with file and line.
std::vector<RoundMetrics> read_metrics(const std::filesystem::path& path);

// The largest resident memory of this process so far, in 10^6 bytes.
double peak_rss_mb();
// Its resident memory now, in 10^6 bytes; none where the system does not say.
std::optional<double> resident_mb();

// Keeps a run's history: each round goes to metrics.jsonl at once, totals are kept for the summary. Its
// memory does not grow with the rounds. Not thread-safe.
class RunRecorder {
 public:
  // A new run: metrics.jsonl starts empty. `target_accuracy`: 0 .. 1, none without a target.
  RunRecorder(const std::filesystem::path& metrics_file, std::optional<double> target_accuracy);
  // Goes on where state() was taken: rounds after it are cut from metrics.jsonl, the totals are the same.
  // Throws FileError on a state that is none.
  static RunRecorder resume(const std::filesystem::path& metrics_file, std::optional<double> target_accuracy,
                            std::string_view state);

  // Rounds come in order. Throws RunError where the line cannot be written.
  void add(const RoundMetrics& metrics);
  RunSummary summary(std::string model_sha256, std::string stopped_by) const;
  // For a checkpoint; no larger for a longer run.
  std::string state() const;

  bool target_reached() const noexcept { return totals_.rounds_to_target.has_value(); }
  Round last_round() const noexcept { return last_round_; }
  // Of the last round: what a resumed run's clocks start from.
  Seconds time_s() const noexcept { return totals_.time_s; }
  double wall_s() const noexcept { return totals_.wall_s; }

 private:
  RunRecorder(AppendFile file, std::optional<double> target_accuracy);
  void follow_accuracy(Round round, double accuracy);
  void follow_again(const std::vector<RoundMetrics>& history);

  AppendFile file_;
  std::optional<double> target_accuracy_;
  Round last_round_ = 0;
  Round last_evaluated_ = 0;
  std::int64_t samples_ = 0;
  RunSummary totals_;  // without what only the end knows
};

}  // namespace gossamer
