#include "server/method_choice.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>

#include "core/error.h"

namespace gossamer {
namespace {

// What a method is taken to deliver at least: one that delivers nothing costs too much, not infinitely much.
constexpr double kLeast = 1e-6;

// Who is tried again in the laps after the first: who costs no more than so many times what the best does.
constexpr std::array kClose{1.3, 1.15};
constexpr std::size_t kMostRounds = MethodChoice::kMost * (1 + kClose.size());  // of a method

// By how much more a method must cost to be left, and its slowdown grow to be watched on.
constexpr double kMore = 1.02;

struct SavedChoice {
  std::array<MethodChoice::Estimate, MethodChoice::kMost> estimates;
  std::array<std::array<Seconds, kMostRounds>, MethodChoice::kMost> rounds;
  std::array<std::uint8_t, MethodChoice::kMost> lengths, runs;
  double delivered, sum, before;
  std::uint64_t method, lap, done, seen;
  std::uint32_t has_delivered, watched, settled, first;
};

Seconds median(std::vector<Seconds> rounds) {
  const auto middle = rounds.begin() + std::ssize(rounds) / 2;
  std::ranges::nth_element(rounds, middle);
  return *middle;
}

std::string figure(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

MethodChoice::MethodChoice(Settings settings)
    : settings_(settings),
      method_(settings.methods - 1),
      rounds_(settings.methods),
      estimates_(settings.methods),
      runs_(settings.methods, true) {
  if (settings.methods < 1 || settings.methods > kMost || settings.rounds < 1 ||
      settings.rounds > static_cast<std::int64_t>(kMost))
    throw std::logic_error("method choice: too many methods or rounds");
}

void MethodChoice::observe(std::optional<double> delivered, Seconds duration) {
  if (settled_) return;
  if (std::exchange(first_, false)) return;
  if (watched_) return watch(delivered);
  rounds_[method_].push_back(duration);
  // What is left over grows from round to round: the last one says most.
  if (delivered) delivered_ = delivered;
  if (++done_ == settings_.rounds) end_trial();
}

double MethodChoice::slowdown_at(double delivered) const noexcept {
  return 1 + settings_.drag * (1 / std::max(delivered, kLeast) - 1);
}

std::size_t MethodChoice::best() const noexcept {
  std::size_t best = 0;
  for (std::size_t m = estimates_.size(); m-- > 0;) {
    if (estimates_[m].tried && (!estimates_[best].tried || estimates_[m].cost() <= estimates_[best].cost()))
      best = m;
  }
  return best;
}

void MethodChoice::end_trial() {
  Estimate& here = estimates_[method_];
  here.seconds = median(rounds_[method_]);
  if (delivered_) {
    here.tried = true;
    here.slowdown = std::max(here.slowdown, slowdown_at(*delivered_));
  }
  done_ = 0;
  delivered_.reset();
  const bool hopeless = lap_ == 0 && here.tried && here.seconds > estimates_[best()].cost();
  while (!hopeless && method_ > 0) {
    if (runs_[--method_]) return;
  }
  end_lap();
}

void MethodChoice::end_lap() {
  method_ = best();
  watched_ = lap_ == kClose.size();
  if (watched_) return;
  const double limit = kClose[lap_++] * estimates_[method_].cost();
  for (std::size_t m = 0; m < estimates_.size(); ++m)
    runs_[m] = estimates_[m].tried && estimates_[m].cost() <= limit &&
               rounds_[m].size() + static_cast<std::size_t>(settings_.rounds) <= kMostRounds;
  watched_ = std::ranges::count(runs_, true) < 2;
  for (std::size_t m = 0; m < estimates_.size() && !watched_; ++m) {
    if (runs_[m]) method_ = m;  // the one with the shortest messages first
  }
}

void MethodChoice::watch(std::optional<double> delivered) {
  Estimate& here = estimates_[method_];
  if (delivered) {
    sum_ += slowdown_at(*delivered);
    ++seen_;
  }
  if (++done_ < settings_.rounds) return;
  // In its first rounds a method leaves less than later, also if it was tried before: others have sent what
  // it had left then.
  const double now = seen_ > 0 ? sum_ / static_cast<double>(seen_) : here.slowdown;
  here.slowdown = std::max(here.slowdown, now);
  const bool grows = before_ == 0 || now > kMore * before_;
  before_ = now;
  sum_ = 0;
  done_ = seen_ = 0;
  if (go_on()) return;
  if (here.cost() > kMore * estimates_[best()].cost()) {
    method_ = best();
    before_ = 0;
  } else {
    settled_ = !grows;
  }
}

bool MethodChoice::go_on() noexcept {
  std::size_t last = 0;
  while (last < method_ && rounds_[last].empty()) ++last;
  if (last == 0 || estimates_[last].seconds > estimates_[best()].cost()) return false;
  method_ = last - 1;
  std::fill_n(runs_.begin(), last, true);
  before_ = 0;
  lap_ = 0;
  watched_ = false;
  return true;
}

std::string MethodChoice::describe(const std::vector<std::string>& names) const {
  std::string text = names.at(method_) + " (seconds a round, times rounds:";
  for (std::size_t m = estimates_.size(); m-- > 0;) {
    if (!estimates_[m].tried) continue;
    text += (text.ends_with(':') ? " " : ", ") + names[m] + ' ' + figure(estimates_[m].seconds) + " x " +
            figure(estimates_[m].slowdown);
  }
  return text + ')';
}

void MethodChoice::save(CheckpointWriter& writer) const {
  SavedChoice saved{};
  std::ranges::copy(estimates_, saved.estimates.begin());
  for (std::size_t m = 0; m < rounds_.size(); ++m) {
    std::ranges::copy(rounds_[m], saved.rounds[m].begin());
    saved.lengths[m] = static_cast<std::uint8_t>(rounds_[m].size());
    saved.runs[m] = runs_[m] ? 1 : 0;
  }
  saved.delivered = delivered_.value_or(0);
  saved.has_delivered = delivered_ ? 1 : 0;
  saved.method = method_;
  saved.lap = lap_;
  saved.done = static_cast<std::uint64_t>(done_);
  saved.sum = sum_;
  saved.before = before_;
  saved.seen = static_cast<std::uint64_t>(seen_);
  saved.watched = watched_ ? 1 : 0;
  saved.settled = settled_ ? 1 : 0;
  saved.first = first_ ? 1 : 0;
  writer.add_pod("method choice", saved);
}

void MethodChoice::restore(const CheckpointReader& reader) {
  const auto saved = reader.pod<SavedChoice>("method choice");
  const bool long_rounds = std::ranges::any_of(saved.lengths, [](auto n) { return n > kMostRounds; });
  if (saved.method >= settings_.methods || saved.lap > kClose.size() || long_rounds ||
      saved.done >= static_cast<std::uint64_t>(settings_.rounds) || saved.seen > saved.done)
    throw FileError("checkpoint: a choice of method in it does not fit the configuration");
  std::copy_n(saved.estimates.begin(), estimates_.size(), estimates_.begin());
  for (std::size_t m = 0; m < rounds_.size(); ++m) {
    rounds_[m].assign(saved.rounds[m].begin(), saved.rounds[m].begin() + saved.lengths[m]);
    runs_[m] = saved.runs[m] != 0;
  }
  delivered_.reset();
  if (saved.has_delivered != 0) delivered_ = saved.delivered;
  method_ = saved.method;
  lap_ = saved.lap;
  done_ = static_cast<std::int64_t>(saved.done);
  sum_ = saved.sum;
  before_ = saved.before;
  seen_ = static_cast<std::int64_t>(saved.seen);
  watched_ = saved.watched != 0;
  settled_ = saved.settled != 0;
  first_ = saved.first != 0;
}

}  // namespace gossamer
