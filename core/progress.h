#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "core/metrics.h"

namespace gossamer {

enum class ProgressStyle {
  quiet,  // nothing
  lines,  // one plain line a round
  live,   // one line that is written over and over
};

// What standard output asks for: live on a terminal, lines elsewhere, quiet below verbosity 0.
ProgressStyle progress_style(int verbosity);

// Shows how a run goes on: round, accuracy, loss, clients, bytes, samples/s, time left. Not thread-safe.
class ProgressPrinter {
 public:
  // `width` limits a live line to the terminal's width; 0 asks standard output.
  ProgressPrinter(std::ostream& out, ProgressStyle style, Round last_round, int width = 0);

  // There is no server: what one sends another receives, so traffic is what was sent.
  void between_peers() noexcept { between_peers_ = true; }
  // A resumed run: rounds up to `round` took `wall_s` seconds, in an earlier process.
  void start_at(Round round, double wall_s);
  // Inside a round (live only): `arrived` of `cohort` updates are there. At most ten lines a second.
  void inside_round(Round round, std::int64_t arrived, std::int64_t cohort, double wall_s);
  void round_done(const RoundMetrics& metrics);
  bool is_live() const noexcept { return style_ == ProgressStyle::live; }
  // Leaves the last live line standing. Call before anything else is printed; the destructor does not.
  void finish();

 private:
  std::string head(Round round) const;
  std::string details_of(const RoundMetrics& metrics) const;
  void show(const std::string& line);

  std::ostream& out_;
  ProgressStyle style_;
  Round last_round_;
  int width_;
  Round start_round_ = 0;
  double start_wall_s_ = 0;
  double shown_wall_s_ = -1;
  double previous_wall_s_ = 0;
  std::uint64_t bytes_ = 0;
  bool between_peers_ = false;
  std::string evaluation_;  // the newest one, repeated in a live line until the next
  std::string head_;        // of the newest round that is done: "round 3/20"
  std::string details_;     // and the rest of its line
  bool open_ = false;       // the cursor stands behind a live line
};

// 1234567 -> "1.23 MB": three digits, decimal units.
std::string readable_bytes(double bytes);
// 3725 -> "1 h 02 min"; 65 -> "1 min 05 s"; 3.2 -> "3.2 s".
std::string readable_seconds(double seconds);

}  // namespace gossamer
