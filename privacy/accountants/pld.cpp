// The distribution of the privacy loss (Sommer, Meiser and Mohammadi 2019), one step's on a grid that never
// makes it better, composed by FFT (Koskela, Jalko and Honkela 2020).
//
// Rounding errors of an FFT are of the size of its largest outputs, and delta is tiny beside them. So what is
// transformed are probabilities times exp(order * loss), of an order that puts the middle of the sum where
// epsilon lies; afterwards that is divided out. Then even the bound on all errors, which is added to every
// probability, is a small part of any delta.
#include <algorithm>
#include <cmath>
#include <limits>

#include "privacy/accountants/loss_composition.h"
#include "privacy/accountants/methods.h"

namespace gossamer {
namespace {

// Each kind of release once. Gaussian noise without sampling composes exactly: 1 / noise^2 adds up.
std::vector<PrivacyEvent> merged(const std::vector<PrivacyEvent>& ledger) {
  std::vector<PrivacyEvent> events;
  double precision = 0;
  for (const PrivacyEvent& event : ledger) {
    if (event.mechanism == NoiseKind::gaussian && event.sampling_rate == 1) {
      precision += static_cast<double>(event.steps) / (event.noise_multiplier * event.noise_multiplier);
      continue;
    }
    const auto same = std::ranges::find_if(events, [&](const PrivacyEvent& other) {
      return other.mechanism == event.mechanism && other.noise_multiplier == event.noise_multiplier &&
             other.sampling_rate == event.sampling_rate;
    });
    if (same == events.end()) {
      events.push_back(event);
    } else {
      same->steps += event.steps;
    }
  }
  if (precision > 0) events.push_back({NoiseKind::gaussian, 1 / std::sqrt(precision), 1, 1});
  return events;
}

// The sum of the largest losses: epsilon without a delta.
double pure_epsilon(const std::vector<PrivacyEvent>& events) {
  double sum = 0;
  for (const PrivacyEvent& event : events) {
    if (event.mechanism == NoiseKind::gaussian) return std::numeric_limits<double>::infinity();
    sum += static_cast<double>(event.steps) * LossFunction(event).loss(1 / event.noise_multiplier);
  }
  return sum;
}

// How probable it is at most that a record takes part at all: delta without an epsilon.
double participation(const std::vector<PrivacyEvent>& events) {
  double sum = 0;
  for (const PrivacyEvent& event : events) sum += static_cast<double>(event.steps) * event.sampling_rate;
  return sum;
}

class Pld final : public PrivacyAccountant {
 public:
  double epsilon(double delta) const override {
    if (participation(ledger()) <= delta) return 0;
    const Both both = of_both(
        [&](const auto& events, Direction direction) { return composed_epsilon(events, direction, delta); });
    return std::min(std::max(both.remove, both.add), pure_epsilon(merged(ledger())));
  }

  double delta(double epsilon) const override {
    const Both both = of_both(
        [&](const auto& events, Direction direction) { return composed_delta(events, direction, epsilon); });
    return std::min(std::max(both.remove, both.add), participation(ledger()));
  }

  std::string explain(double) const override {
    return "privacy loss distribution, the larger of both directions";
  }

 private:
  struct Both {
    double remove = 0, add = 0;
  };
  template <class Function>
  Both of_both(Function&& of) const {
    const auto events = merged(ledger());
    if (events.empty()) return {};
    const double remove = of(events, Direction::remove);
    // Without sampling both directions are the same.
    const bool sampled =
        std::ranges::any_of(events, [](const auto& event) { return event.sampling_rate < 1; });
    return {remove, sampled ? of(events, Direction::add) : remove};
  }
};

}  // namespace

std::unique_ptr<PrivacyAccountant> make_pld(const Options&) { return std::make_unique<Pld>(); }

}  // namespace gossamer
