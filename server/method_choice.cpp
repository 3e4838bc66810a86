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

struct SavedChoice {
  std::array<MethodChoice::Estimate, MethodChoice::kMost> estimates;
  std::array<Seconds, MethodChoice::kMost> rounds;
  double delivered;
  std::uint64_t method, best, done;
  std::uint32_t has_delivered, settled, first, zero;
};

std::string figure(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

}  // namespace

MethodChoice::MethodChoice(Settings settings)
    : settings_(settings), method_(settings.methods - 1), estimates_(settings.methods) {
  if (settings.methods < 1 || settings.methods > kMost || settings.rounds < 1 ||
      settings.rounds > static_cast<std::int64_t>(kMost))
    throw std::logic_error("method choice: too many methods or rounds");
}

void MethodChoice::observe(std::optional<double> delivered, Seconds duration) {
  if (settled_) return;
  if (std::exchange(first_, false)) return;
  rounds_.push_back(duration);
  // What is left over grows from round to round: the last one says most.
  if (delivered) delivered_ = delivered;
  if (std::ssize(rounds_) == settings_.rounds) end_trial();
}

void MethodChoice::end_trial() {
  const auto middle = rounds_.begin() + std::ssize(rounds_) / 2;
  std::ranges::nth_element(rounds_, middle);
  Estimate& here = estimates_[method_];
  here.seconds = *middle;
  if (delivered_) {
    here.tried = true;
    here.slowdown = 1 + settings_.drag * (1 / std::max(*delivered_, kLeast) - 1);
    // Of two that cost the same, the one that leaves out less.
    if (!estimates_[best_].tried || here.cost() <= estimates_[best_].cost()) best_ = method_;
  }
  const bool hopeless = here.tried && here.seconds > estimates_[best_].cost();
  if (method_ == 0 || hopeless) {
    settled_ = true;
    method_ = best_;
  } else {
    --method_;
  }
  rounds_.clear();
  delivered_.reset();
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
  std::ranges::copy(rounds_, saved.rounds.begin());
  saved.delivered = delivered_.value_or(0);
  saved.has_delivered = delivered_ ? 1 : 0;
  saved.method = method_;
  saved.best = best_;
  saved.done = rounds_.size();
  saved.settled = settled_ ? 1 : 0;
  saved.first = first_ ? 1 : 0;
  writer.add_pod("method choice", saved);
}

void MethodChoice::restore(const CheckpointReader& reader) {
  const auto saved = reader.pod<SavedChoice>("method choice");
  if (saved.method >= settings_.methods || saved.best >= settings_.methods ||
      saved.done >= static_cast<std::uint64_t>(settings_.rounds))
    throw FileError("checkpoint: a choice of method in it does not fit the configuration");
  std::copy_n(saved.estimates.begin(), estimates_.size(), estimates_.begin());
  rounds_.assign(saved.rounds.begin(), saved.rounds.begin() + static_cast<std::ptrdiff_t>(saved.done));
  delivered_.reset();
  if (saved.has_delivered != 0) delivered_ = saved.delivered;
  method_ = saved.method;
  best_ = saved.best;
  settled_ = saved.settled != 0;
  first_ = saved.first != 0;
}

}  // namespace gossamer
