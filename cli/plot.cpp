#include "cli/plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <set>

#include "cli/picture.h"
#include "comms/topologies/topology.h"
#include "core/error.h"
#include "core/files.h"
#include "core/ini.h"
#include "core/logging.h"
#include "core/metrics.h"
#include "core/text.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

// ---- fields -----------------------------------------------------------------------------------------------

struct Run {
  std::string label;
  std::vector<RoundMetrics> rounds;
  std::vector<double> bytes;     // up and down, summed over the rounds so far
  std::vector<double> bytes_up;  // up alone
};

enum class Unit { none, percent, bytes, seconds };

struct Field {
  std::string name;
  std::string column;  // its heading in a CSV
  std::string label;   // its axis, without the unit
  Unit unit;
  std::function<std::optional<double>(const Run&, std::size_t)> value;
};

template <class Member>
Field metric(std::string name, std::string label, Unit unit, Member RoundMetrics::*member) {
  auto value = [member](const Run& run, std::size_t i) -> std::optional<double> {
    const Member& m = run.rounds[i].*member;
    if constexpr (std::is_same_v<Member, std::optional<double>>) {
      return m;
    } else {
      return static_cast<double>(m);
    }
  };
  return {name, name, std::move(label), unit, std::move(value)};
}

const std::vector<Field>& x_fields() {
  static const std::vector<Field> table{
      metric("round", "round", Unit::none, &RoundMetrics::round),
      {"bytes", "bytes", "traffic", Unit::bytes,
       [](const Run& run, std::size_t i) { return std::optional(run.bytes[i]); }},
      {"bytes_up", "sent_up", "sent up", Unit::bytes,
       [](const Run& run, std::size_t i) { return std::optional(run.bytes_up[i]); }},
      metric("epsilon", "epsilon", Unit::none, &RoundMetrics::epsilon),
      {"time", "time_s", "time", Unit::seconds,
       [](const Run& run, std::size_t i) { return std::optional(run.rounds[i].time_s); }},
      {"wall", "wall_s", "wall-clock time", Unit::seconds,
       [](const Run& run, std::size_t i) { return std::optional(run.rounds[i].wall_s); }},
  };
  return table;
}

const std::vector<Field>& y_fields() {
  static const std::vector<Field> table{
      metric("test_accuracy", "test accuracy", Unit::percent, &RoundMetrics::test_accuracy),
      metric("test_loss", "test loss", Unit::none, &RoundMetrics::test_loss),
      metric("train_loss", "training loss", Unit::none, &RoundMetrics::train_loss),
      metric("epsilon", "epsilon", Unit::none, &RoundMetrics::epsilon),
      metric("clients", "clients a round", Unit::none, &RoundMetrics::clients),
      metric("dropped", "clients dropped a round", Unit::none, &RoundMetrics::dropped),
      metric("rejected", "updates rejected a round", Unit::none, &RoundMetrics::rejected),
      metric("bytes_up", "sent up a round", Unit::bytes, &RoundMetrics::bytes_up),
      metric("bytes_down", "sent down a round", Unit::bytes, &RoundMetrics::bytes_down),
      metric("bytes_control", "control traffic a round", Unit::bytes, &RoundMetrics::bytes_control),
      metric("staleness_mean", "mean staleness (rounds)", Unit::none, &RoundMetrics::staleness_mean),
      metric("staleness_max", "largest staleness (rounds)", Unit::none, &RoundMetrics::staleness_max),
      metric("samples", "samples a round", Unit::none, &RoundMetrics::samples),
      metric("consensus_distance", "distance from the mean model", Unit::none,
             &RoundMetrics::consensus_distance),
      metric("rss_mb", "resident memory (MB)", Unit::none, &RoundMetrics::rss_mb),
  };
  return table;
}

const Field& find_field(const char* flag, const std::string& name, const std::vector<Field>& fields) {
  const auto found = std::ranges::find(fields, name, &Field::name);
  if (found != fields.end()) return *found;
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  throw ConfigError(std::string(flag) + " = " + name + ": expected one of " + joined(names) +
                    " (nearest: " + nearest_word(name, names) + ")");
}

void check(const PlotRequest& request) {
  for (const std::string& name : request.x) find_field("--x", name, x_fields());
  for (const std::string& name : request.y) find_field("--y", name, y_fields());
  const std::string ending = request.out.extension().string();
  if (ending != ".svg" && ending != ".png" && ending != ".csv") {
    throw ConfigError("--out = " + request.out.string() +
                      ": expected a name that ends in .svg, .png or .csv");
  }
}

// ---- runs -------------------------------------------------------------------------------------------------

// Of "runs/a" and of "runs/a/": a; of ".": the name of the folder one is in.
std::string folder_name(const fs::path& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

// Where there is no server, what one sends another receives: traffic is what was sent.
bool between_peers(const fs::path& config) {
  if (!fs::exists(config)) return false;
  for (const IniEntry& entry : parse_ini(read_text(config), config.string())) {
    if (entry.key == "topology.name") return kind_of_topology(entry.value) != TopologyKind::server;
  }
  return false;
}

Run load(const fs::path& folder) {
  Run run;
  run.label = folder_name(folder);
  run.rounds = read_metrics(RunFolder(folder).metrics());
  if (run.rounds.empty())
    throw FileError(RunFolder(folder).metrics().string() + ": the run has no round yet");
  const bool peers = between_peers(RunFolder(folder).config());
  double up = 0;
  double down = 0;
  for (const RoundMetrics& round : run.rounds) {
    up += static_cast<double>(round.bytes_up);
    down += peers ? 0 : static_cast<double>(round.bytes_down);
    run.bytes_up.push_back(up);
    run.bytes.push_back(up + down);
  }
  return run;
}

std::vector<Run> load(const std::vector<fs::path>& folders) {
  std::vector<Run> runs;
  std::vector<std::string> names;
  for (const fs::path& folder : folders) {
    runs.push_back(load(folder));
    names.push_back(runs.back().label);
  }
  // Folders of the same name are told apart by their whole path.
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (std::ranges::count(names, names[i]) > 1) runs[i].label = folders[i].string();
  }
  return runs;
}

bool has_values(const Field& field, const std::vector<Run>& runs) {
  return std::ranges::any_of(runs, [&](const Run& run) {
    for (std::size_t i = 0; i < run.rounds.size(); ++i) {
      const auto value = field.value(run, i);
      if (value && std::isfinite(*value)) return true;
    }
    return false;
  });
}

// ---- CSV --------------------------------------------------------------------------------------------------

std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + '"';
}

std::string csv_number(const std::optional<double>& value) {
  return value && std::isfinite(*value) ? shortest(*value) : std::string();
}

// One line for each run and round in which a y field has a value; units as in metrics.jsonl.
std::string to_csv(const std::vector<Run>& runs, const std::vector<Field>& xs, const std::vector<Field>& ys) {
  std::string csv = "run,round";
  for (const Field& x : xs) csv += x.name == "round" ? std::string() : ',' + x.column;
  for (const Field& y : ys) csv += ',' + y.column;
  csv += '\n';
  for (const Run& run : runs) {
    for (std::size_t i = 0; i < run.rounds.size(); ++i) {
      std::string values;
      for (const Field& y : ys) values += ',' + csv_number(y.value(run, i));
      if (values.size() == ys.size()) continue;
      csv += csv_text(run.label) + ',' + std::to_string(run.rounds[i].round);
      for (const Field& x : xs) csv += x.name == "round" ? std::string() : ',' + csv_number(x.value(run, i));
      csv += values + '\n';
    }
  }
  return csv;
}

// ---- the picture ------------------------------------------------------------------------------------------

struct Scale {
  double divisor = 1;
  std::string unit;
};

// The unit in which the largest value reads best.
Scale scale_of(Unit unit, double largest) {
  switch (unit) {
    case Unit::none:
      return {1, ""};
    case Unit::percent:
      return {0.01, "%"};
    case Unit::bytes:
      for (const auto& [size, name] : {std::pair{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}}) {
        if (largest >= size) return {size, name};
      }
      return {1, "bytes"};
    case Unit::seconds:
      if (largest >= 3 * 3600.0) return {3600, "h"};
      if (largest >= 300) return {60, "min"};
      return {1, "s"};
  }
  return {};
}

std::string with_unit(const std::string& label, const Scale& scale) {
  return scale.unit.empty() ? label : label + " (" + scale.unit + ")";
}

// "time" is virtual or wall; runs that are compared may differ.
std::string x_label(const Field& field, const std::vector<Run>& runs) {
  if (field.name != "time") return field.label;
  std::set<std::string> clocks;
  for (const Run& run : runs) clocks.insert(run.rounds.back().clock);
  if (clocks.size() > 1) return field.label;
  return *clocks.begin() == "wall" ? "wall-clock time" : *clocks.begin() + " time";
}

// More points than a picture has pixels only make its file large.
constexpr std::size_t kMostPoints = 3000;

std::vector<Point> thinned(std::vector<Point> points) {
  if (points.size() <= kMostPoints) return points;
  std::vector<Point> kept;
  for (std::size_t i = 0; i < kMostPoints; ++i) {
    kept.push_back(points[i * (points.size() - 1) / (kMostPoints - 1)]);
  }
  return kept;
}

std::vector<Point> points_of(const Run& run, const Field& x, const Field& y) {
  std::vector<Point> points;
  for (std::size_t i = 0; i < run.rounds.size(); ++i) {
    const auto at = x.value(run, i);
    const auto value = y.value(run, i);
    if (at && value && std::isfinite(*at) && std::isfinite(*value)) points.push_back({*at, *value});
  }
  return thinned(std::move(points));
}

// Accuracy in percent, on round numbers. Of long curves the steep beginning runs out of the picture, or the
// end, which is what one looks at, would be flat: below the worst final value there is room for four times
// what that one lacks to 100%.
std::pair<double, double> percent_range(const std::vector<Curve>& curves, double low, double high) {
  std::size_t points = 0;
  double worst_final = 100;
  for (const Curve& curve : curves) {
    points += curve.points.size();
    if (!curve.points.empty()) worst_final = std::min(worst_final, curve.points.back().y);
  }
  if (points >= 30) low = std::max(low, 100 - 5 * (100 - worst_final));
  const double span = high - low;
  const double step = span > 25 ? 10 : span > 10 ? 5 : span > 4 ? 2 : 1;
  const double bottom = std::max(0.0, std::floor(low / step) * step);
  const double top = std::min(100.0, std::ceil((high + 0.02 * span) / step) * step);
  return {std::min(bottom, top - step), top};
}

void choose_y_range(Panel& panel, Unit unit) {
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (const Curve& curve : panel.curves) {
    for (const Point& point : curve.points) {
      low = std::min(low, point.y);
      high = std::max(high, point.y);
    }
  }
  if (low > high) return;  // no points
  if (unit == Unit::percent) {
    panel.y_range = percent_range(panel.curves, low, high);
  } else if (low > 0 && high / low >= 50) {
    panel.y_log = true;
  } else if (low >= 0) {
    // Counts, bytes and losses are read against zero.
    panel.y_range = {0, high > 0 ? 1.05 * high : 1};
  }
}

// A run that has no such x, one without privacy against epsilon, is a level line at what it comes to.
void add_levels(Panel& panel, const std::vector<Run>& runs, const std::vector<Field>& ys, double x_least,
                double x_largest) {
  for (std::size_t i = 0; i < panel.curves.size() && x_largest > 0; ++i) {
    std::vector<Point>& points = panel.curves[i].points;
    if (!points.empty()) continue;
    const Run& run = runs[i / ys.size()];
    std::optional<double> level;
    for (std::size_t round = 0; round < run.rounds.size(); ++round) {
      const auto value = ys[i % ys.size()].value(run, round);
      if (value && std::isfinite(*value)) level = value;
    }
    if (level) points = {{x_least, *level}, {x_largest, *level}};
  }
}

// A panel with one curve for each run and field; style = that of the pair.
Panel make_panel(const std::vector<Run>& runs, const Field& x, const std::vector<Field>& ys,
                 std::string y_name) {
  Panel panel;
  double x_least = std::numeric_limits<double>::infinity();
  double x_largest = 0;
  double y_largest = 0;
  for (std::size_t r = 0; r < runs.size(); ++r) {
    for (std::size_t f = 0; f < ys.size(); ++f) {
      panel.curves.push_back({points_of(runs[r], x, ys[f]), r * ys.size() + f});
      for (const Point& point : panel.curves.back().points) {
        x_least = std::min(x_least, point.x);
        x_largest = std::max(x_largest, point.x);
        y_largest = std::max(y_largest, std::abs(point.y));
      }
    }
  }
  add_levels(panel, runs, ys, x_least, x_largest);
  const Scale x_scale = scale_of(x.unit, x_largest);
  const Scale y_scale = scale_of(ys.front().unit, y_largest);
  for (Curve& curve : panel.curves) {
    for (Point& point : curve.points) point = {point.x / x_scale.divisor, point.y / y_scale.divisor};
  }
  panel.x_label = with_unit(x_label(x, runs), x_scale);
  panel.y_label = with_unit(y_name, y_scale);
  panel.x_max = x_largest > 0 ? x_largest / x_scale.divisor : 1;
  choose_y_range(panel, ys.front().unit);
  return panel;
}

}  // namespace

PlotRequest plot_request(const CommandLine& line) {
  PlotRequest request;
  request.runs.assign(line.positional.begin(), line.positional.end());
  if (const auto x = line.extra.find("x"); x != line.extra.end()) request.x = split(x->second);
  if (const auto y = line.extra.find("y"); y != line.extra.end()) request.y = split(y->second);
  if (const auto out = line.extra.find("out"); out != line.extra.end()) request.out = out->second;
  request.log_x = line.extra.contains("log");
  check(request);
  return request;
}

void plot(const PlotRequest& request) {
  check(request);
  const std::vector<Run> runs = load(request.runs);
  std::vector<Field> xs;
  std::vector<Field> ys;
  for (const std::string& name : request.x) xs.push_back(find_field("--x", name, x_fields()));
  for (const std::string& name : request.y) {
    ys.push_back(find_field("--y", name, y_fields()));
    if (!has_values(ys.back(), runs))
      throw ConfigError("--y = " + name + ": none of these runs has a value for it");
  }
  if (request.out.extension() == ".csv") {
    write_atomically(request.out, to_csv(runs, xs, ys));
    return;
  }
  Picture picture;
  picture.columns = xs.size();
  for (const Field& y : ys) {
    for (const Field& x : xs) {
      picture.panels.push_back(make_panel(runs, x, {y}, y.label));
      picture.panels.back().x_log = request.log_x;
    }
  }
  if (runs.size() > 1) {
    for (const Run& run : runs) picture.legend.push_back(run.label);
  }
  draw(picture, request.out);
}

int plot_command(const CommandLine& line) {
  plot(plot_request(line));
  return 0;
}

void draw_curve(const RunFolder& folder) {
  try {
    const std::vector<Run> runs{load(folder.path())};
    Picture picture;
    picture.columns = 3;
    const Field& accuracy = find_field("--y", "test_accuracy", y_fields());
    const Field& test_loss = find_field("--y", "test_loss", y_fields());
    const Field& train_loss = find_field("--y", "train_loss", y_fields());
    const std::array<const char*, 3> against{"round", "bytes", "time"};
    for (const char* x : against) {
      picture.panels.push_back(
          make_panel(runs, find_field("--x", x, x_fields()), {accuracy}, accuracy.label));
    }
    for (const char* x : against) {
      picture.panels.push_back(
          make_panel(runs, find_field("--x", x, x_fields()), {test_loss, train_loss}, "loss"));
    }
    picture.legend = {"test", "training"};
    draw(picture, folder.curve());
  } catch (const Error& e) {
    log_warning(folder.curve().string() + " was not drawn: " + e.what());
  }
}

}  // namespace gossamer
