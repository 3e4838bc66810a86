#include "core/metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace gossamer {
namespace {

using Json = nlohmann::ordered_json;

Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json number(const std::optional<double>& value) { return value ? number(*value) : Json(nullptr); }

Json whole(const std::optional<std::int64_t>& value) { return value ? Json(*value) : Json(nullptr); }

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

std::optional<double> optional_number(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return found->get<double>();
}

double number_or_nan(const Json& object, const char* key) {
  return optional_number(object, key).value_or(std::numeric_limits<double>::quiet_NaN());
}

// Nothing but an integer that fits: the library's own conversion would cast whatever number it finds.
template <class T>
T integer(const Json& object, const char* key) {
  const Json& value = object.at(key);
  if (value.is_number_unsigned()) {
    const auto number = value.get<std::uint64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  } else if (value.is_number_integer()) {
    const auto number = value.get<std::int64_t>();
    if (std::in_range<T>(number)) return static_cast<T>(number);
  }
  throw FileError(std::string(key) + " = " + value.dump() + ": expected an integer");
}

std::optional<std::int64_t> optional_integer(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::nullopt;
  return integer<std::int64_t>(object, key);
}

template <class T>
T integer_or_zero(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? 0 : integer<T>(object, key);
}

std::string text_or_empty(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? std::string() : found->get<std::string>();
}

// A reason may name a file, and a file's name may be no UTF-8, which JSON has to be.
std::string dumped(const Json& object, int indent = -1) {
  return object.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json object_of(const RunSummary& summary) {
  return Json{{"rounds", summary.rounds},
              {"final_test_accuracy", number(summary.final_test_accuracy)},
              {"best_test_accuracy", number(summary.best_test_accuracy)},
              {"rounds_to_target", number(summary.rounds_to_target)},
              {"bytes_up", summary.bytes_up},
              {"bytes_down", summary.bytes_down},
              {"bytes_control", summary.bytes_control},
              {"time_s", number(summary.time_s)},
              {"wall_s", number(summary.wall_s)},
              {"samples_per_s", number(summary.samples_per_s)},
              {"peak_rss_mb", number(summary.peak_rss_mb)},
              {"spilled_mb", number(summary.spilled_mb)},
              {"epsilon", number(summary.epsilon)},
              {"insecure_seed", whole(summary.insecure_seed)},
              {"compression", text_or_null(summary.compression)},
              {"model_sha256", summary.model_sha256},
              {"stopped_by", summary.stopped_by}};
}

RunSummary summary_of(const Json& object) {
  RunSummary summary;
  summary.rounds = integer<std::int64_t>(object, "rounds");
  summary.final_test_accuracy = optional_number(object, "final_test_accuracy");
  summary.best_test_accuracy = optional_number(object, "best_test_accuracy");
  summary.rounds_to_target = optional_number(object, "rounds_to_target");
  summary.bytes_up = integer<std::uint64_t>(object, "bytes_up");
  summary.bytes_down = integer<std::uint64_t>(object, "bytes_down");
  summary.bytes_control = integer_or_zero<std::uint64_t>(object, "bytes_control");
  summary.time_s = number_or_nan(object, "time_s");
  summary.wall_s = number_or_nan(object, "wall_s");
  summary.samples_per_s = number_or_nan(object, "samples_per_s");
  summary.peak_rss_mb = number_or_nan(object, "peak_rss_mb");
  summary.spilled_mb = optional_number(object, "spilled_mb").value_or(0);
  summary.epsilon = optional_number(object, "epsilon");
  summary.insecure_seed = optional_integer(object, "insecure_seed");
  summary.compression = text_or_empty(object, "compression");
  summary.model_sha256 = text_or_empty(object, "model_sha256");
  summary.stopped_by = text_or_empty(object, "stopped_by");
  return summary;
}

// Runs `read` on the object that `json` is; whatever is wrong with it is a FileError.
template <class Read>
auto read_object(std::string_view json, const char* what, const Read& read) {
  try {
    const Json object = Json::parse(json);
    if (!object.is_object()) throw FileError("expected a JSON object");
    return read(object);
  } catch (const Json::exception& e) {
    throw FileError(std::string("not ") + what + ": " + e.what());
  } catch (const FileError& e) {
    throw FileError(std::string("not ") + what + ": " + e.what());
  }
}

// Calls visit(line number, line) for every line that has its end; says how many bytes those are.
template <class Visit>
std::size_t for_each_line(std::string_view text, const Visit& visit) {
  std::size_t begin = 0;
  for (std::size_t line = 1;; ++line) {
    const std::size_t end = text.find('\n', begin);
    if (end == std::string_view::npos) return begin;
    visit(line, text.substr(begin, end - begin));
    begin = end + 1;
  }
}

RoundMetrics round_at(const std::filesystem::path& path, std::size_t line, std::string_view json) {
  try {
    return round_from_json(json);
  } catch (const FileError& e) {
    throw FileError(path.string() + ":" + std::to_string(line) + ": " + e.what());
  }
}

}  // namespace

std::string to_json(const RoundMetrics& m) {
  return dumped({{"round", m.round},
                 {"time_s", number(m.time_s)},
                 {"wall_s", number(m.wall_s)},
                 {"test_accuracy", number(m.test_accuracy)},
                 {"test_loss", number(m.test_loss)},
                 {"train_loss", number(m.train_loss)},
                 {"clients", m.clients},
                 {"dropped", m.dropped},
                 {"rejected", m.rejected},
                 {"bytes_up", m.bytes_up},
                 {"bytes_down", m.bytes_down},
                 {"bytes_control", m.bytes_control},
                 {"staleness_mean", number(m.staleness_mean)},
                 {"staleness_max", m.staleness_max},
                 {"epsilon", number(m.epsilon)},
                 {"reclipped", whole(m.reclipped)},
                 {"clip_norm", number(m.clip_norm)},
                 {"samples", m.samples},
                 {"consensus_distance", number(m.consensus_distance)},
                 {"clock", m.clock},
                 {"rss_mb", number(m.rss_mb)},
                 {"compression", text_or_null(m.compression)}});
}

std::string to_json(const RunSummary& summary) { return dumped(object_of(summary), 2) + '\n'; }

RoundMetrics round_from_json(std::string_view json) {
  return read_object(json, "a round's metrics", [](const Json& object) {
    RoundMetrics m;
    m.round = integer<Round>(object, "round");
    m.time_s = number_or_nan(object, "time_s");
    m.wall_s = number_or_nan(object, "wall_s");
    m.test_accuracy = optional_number(object, "test_accuracy");
    m.test_loss = optional_number(object, "test_loss");
    m.train_loss = number_or_nan(object, "train_loss");
    m.clients = integer_or_zero<std::int64_t>(object, "clients");
    m.dropped = integer_or_zero<std::int64_t>(object, "dropped");
    m.rejected = integer_or_zero<std::int64_t>(object, "rejected");
    m.bytes_up = integer_or_zero<std::uint64_t>(object, "bytes_up");
    m.bytes_down = integer_or_zero<std::uint64_t>(object, "bytes_down");
    m.bytes_control = integer_or_zero<std::uint64_t>(object, "bytes_control");
    m.staleness_mean = optional_number(object, "staleness_mean").value_or(0);
    m.staleness_max = integer_or_zero<std::int64_t>(object, "staleness_max");
    m.epsilon = optional_number(object, "epsilon");
    m.reclipped = optional_integer(object, "reclipped");
    m.clip_norm = optional_number(object, "clip_norm");
    m.samples = integer_or_zero<std::int64_t>(object, "samples");
    m.consensus_distance = optional_number(object, "consensus_distance");
    m.clock = text_or_empty(object, "clock");
    m.rss_mb = optional_number(object, "rss_mb");
    m.compression = text_or_empty(object, "compression");
    return m;
  });
}

RunSummary summary_from_json(std::string_view json) {
  return read_object(json, "a run's summary", summary_of);
}

std::vector<RoundMetrics> read_metrics(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  std::vector<RoundMetrics> rounds;
  for_each_line(
      text, [&](std::size_t line, std::string_view json) { rounds.push_back(round_at(path, line, json)); });
  return rounds;
}

double peak_rss_mb() {
  // VmHWM belongs to this program; ru_maxrss also remembers the process that started it.
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) * 1024 / 1e6;
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * 1024 / 1e6;
}

std::optional<double> resident_mb() {
  // In pages: the whole address space, then what is resident of it.
  std::ifstream statm("/proc/self/statm");
  std::int64_t size = 0, resident = 0;
  if (!(statm >> size >> resident)) return std::nullopt;
  return static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / 1e6;
}

RunRecorder::RunRecorder(AppendFile file, std::optional<double> target_accuracy)
    : file_(std::move(file)), target_accuracy_(target_accuracy) {}

RunRecorder::RunRecorder(const std::filesystem::path& metrics_file, std::optional<double> target_accuracy)
    : RunRecorder(AppendFile(metrics_file, AppendFile::Start::empty), target_accuracy) {}

RunRecorder RunRecorder::resume(const std::filesystem::path& metrics_file,
                                std::optional<double> target_accuracy, std::string_view state) {
  const auto [totals, last_round, last_evaluated, samples] =
      read_object(state, "a recorder's state", [](const Json& object) {
        return std::tuple(summary_of(object), integer<Round>(object, "last_round"),
                          integer<Round>(object, "last_evaluated"), integer<std::int64_t>(object, "samples"));
      });
  std::vector<RoundMetrics> history;
  if (std::filesystem::exists(metrics_file)) {
    const std::string text = read_text(metrics_file);
    std::string kept;
    for_each_line(text, [&, last = last_round](std::size_t line, std::string_view json) {
      RoundMetrics metrics = round_at(metrics_file, line, json);
      if (metrics.round > last) return;
      kept.append(json).append("\n");
      history.push_back(std::move(metrics));
    });
    write_atomically(metrics_file, kept);
  }
  RunRecorder recorder(AppendFile(metrics_file, AppendFile::Start::at_end), target_accuracy);
  recorder.totals_ = totals;
  recorder.last_round_ = last_round;
  recorder.last_evaluated_ = last_evaluated;
  recorder.samples_ = samples;
  recorder.follow_again(history);
  return recorder;
}

void RunRecorder::add(const RoundMetrics& metrics) {
  file_.append(to_json(metrics) + '\n');
  last_round_ = metrics.round;
  samples_ += metrics.samples;
  totals_.rounds = metrics.round;
  totals_.bytes_up += metrics.bytes_up;
  totals_.bytes_down += metrics.bytes_down;
  totals_.bytes_control += metrics.bytes_control;
  totals_.time_s = metrics.time_s;
  totals_.wall_s = metrics.wall_s;
  totals_.epsilon = metrics.epsilon;
  totals_.compression = metrics.compression;
  if (metrics.test_accuracy) follow_accuracy(metrics.round, *metrics.test_accuracy);
}

void RunRecorder::follow_accuracy(Round round, double accuracy) {
  if (target_accuracy_ && !totals_.rounds_to_target && accuracy >= *target_accuracy_) {
    double reached = static_cast<double>(round);
    if (totals_.best_test_accuracy) {
      const double before = *totals_.best_test_accuracy;
      const double share =
          before < *target_accuracy_ ? (*target_accuracy_ - before) / (accuracy - before) : 0;
      reached = static_cast<double>(last_evaluated_) + share * static_cast<double>(round - last_evaluated_);
    }
    totals_.rounds_to_target = reached;
  }
  totals_.final_test_accuracy = accuracy;
  totals_.best_test_accuracy = std::max(totals_.best_test_accuracy.value_or(accuracy), accuracy);
  last_evaluated_ = round;
}

// The target may be another one than when the state was taken, so the crossing is looked for again where the
// whole history is there.
void RunRecorder::follow_again(const std::vector<RoundMetrics>& history) {
  if (std::ssize(history) != totals_.rounds) return;
  totals_.best_test_accuracy.reset();
  totals_.rounds_to_target.reset();
  for (const RoundMetrics& metrics : history) {
    if (metrics.test_accuracy) follow_accuracy(metrics.round, *metrics.test_accuracy);
  }
}

RunSummary RunRecorder::summary(std::string model_sha256, std::string stopped_by) const {
  RunSummary summary = totals_;
  summary.samples_per_s = summary.wall_s > 0 ? static_cast<double>(samples_) / summary.wall_s : 0;
  summary.peak_rss_mb = gossamer::peak_rss_mb();
  summary.model_sha256 = std::move(model_sha256);
  summary.stopped_by = std::move(stopped_by);
  return summary;
}

std::string RunRecorder::state() const {
  Json object = object_of(totals_);
  object["last_round"] = last_round_;
  object["last_evaluated"] = last_evaluated_;
  object["samples"] = samples_;
  return dumped(object);
}

}  // namespace gossamer
