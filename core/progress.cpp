#include "core/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ostream>

namespace gossamer {
namespace {

constexpr double kRefreshSeconds = 0.1;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

int terminal_width() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string readable_bytes(double bytes) {
  constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB"};
  std::size_t unit = 0;
  // 999.5 would print as 1000 with three digits.
  while (bytes >= 999.5 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || bytes >= 99.95 ? 0 : bytes >= 9.995 ? 1 : 2;
  return format("%.*f %s", decimals, bytes, kUnits[unit]);
}

std::string readable_seconds(double seconds) {
  if (seconds < 9.95) return format("%.1f s", seconds);
  const auto whole = static_cast<long long>(std::llround(seconds));
  if (whole < 60) return format("%lld s", whole);
  if (whole < 3600) return format("%lld min %02lld s", whole / 60, whole % 60);
  return format("%lld h %02lld min", whole / 3600, whole % 3600 / 60);
}

ProgressStyle progress_style(int verbosity) {
  if (verbosity < 0) return ProgressStyle::quiet;
  return ::isatty(STDOUT_FILENO) != 0 ? ProgressStyle::live : ProgressStyle::lines;
}

ProgressPrinter::ProgressPrinter(std::ostream& out, ProgressStyle style, Round last_round, int width)
    : out_(out), style_(style), last_round_(last_round), width_(width) {}

void ProgressPrinter::start_at(Round round, double wall_s) {
  start_round_ = round;
  start_wall_s_ = wall_s;
  previous_wall_s_ = wall_s;
}

void ProgressPrinter::inside_round(Round round, std::int64_t arrived, std::int64_t cohort, double wall_s) {
  if (style_ != ProgressStyle::live || wall_s - shown_wall_s_ < kRefreshSeconds) return;
  shown_wall_s_ = wall_s;
  show(head(round) +
       format(" (%lld of %lld)", static_cast<long long>(arrived), static_cast<long long>(cohort)) + details_);
}

void ProgressPrinter::round_done(const RoundMetrics& metrics) {
  bytes_ += metrics.bytes_up + (between_peers_ ? 0 : metrics.bytes_down);
  if (metrics.test_accuracy) {
    evaluation_ = format("  accuracy %.2f%%", 100 * *metrics.test_accuracy);
    if (metrics.test_loss) evaluation_ += format("  loss %.4f", *metrics.test_loss);
  }
  head_ = head(metrics.round);
  details_ = details_of(metrics);
  previous_wall_s_ = metrics.wall_s;
  const bool due = metrics.wall_s - shown_wall_s_ >= kRefreshSeconds || metrics.round == last_round_;
  if (style_ == ProgressStyle::lines) {
    out_ << head_ << details_ << std::endl;
  } else if (style_ == ProgressStyle::live && due) {
    shown_wall_s_ = metrics.wall_s;
    show(head_ + details_);
  }
}

std::string ProgressPrinter::head(Round round) const {
  return format("round %lld/%lld", static_cast<long long>(round), static_cast<long long>(last_round_));
}

std::string ProgressPrinter::details_of(const RoundMetrics& m) const {
  std::string line;
  if (m.test_accuracy || style_ == ProgressStyle::live) line += evaluation_;
  // Clients of a private run say nothing of their losses and samples.
  const bool concealed = m.epsilon && std::isnan(m.train_loss);
  if (!concealed) line += format("  train loss %.4f", m.train_loss);
  line += format("  %lld clients", static_cast<long long>(m.clients));
  if (m.dropped > 0) line += format(" (%lld dropped)", static_cast<long long>(m.dropped));
  if (m.rejected > 0) line += format(" (%lld rejected)", static_cast<long long>(m.rejected));
  line += "  " + readable_bytes(static_cast<double>(bytes_));
  if (m.epsilon) line += format("  epsilon %.3g", *m.epsilon);
  if (m.wall_s > previous_wall_s_ && !concealed) {
    line += format("  %.0f samples/s", static_cast<double>(m.samples) / (m.wall_s - previous_wall_s_));
  }
  if (m.round > start_round_ && m.round < last_round_) {
    const double a_round = (m.wall_s - start_wall_s_) / static_cast<double>(m.round - start_round_);
    line += "  " + readable_seconds(a_round * static_cast<double>(last_round_ - m.round)) + " left";
  }
  return line;
}

void ProgressPrinter::show(const std::string& line) {
  const int width = width_ > 0 ? width_ : terminal_width();
  // One column stays free: a line that fills the last one wraps on some terminals.
  out_ << '\r' << line.substr(0, static_cast<std::size_t>(std::max(width - 1, 1))) << "\x1b[K" << std::flush;
  open_ = true;
}

void ProgressPrinter::finish() {
  if (!open_) return;
  show(head_ + details_);
  out_ << std::endl;
  open_ = false;
}

}  // namespace gossamer
