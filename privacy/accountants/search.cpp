#include "privacy/accountants/search.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text.h"

namespace gossamer {
namespace {

constexpr double kMostNoise = 1e6;
constexpr double kClose = 1e-7;
constexpr double kMostSearchedSteps = 1e9;

// Two numbers of which one keeps to the target and one does not, each with ln(epsilon / target).
struct Bracket {
  double good, bad;
  double of_good, of_bad;
};

// Narrows the bracket until done(): regula falsi in logarithms, after Illinois. `excess` gives
// ln(epsilon / target) at a number.
template <class Excess, class Done>
double narrowed(Bracket bracket, Excess&& excess, Done&& done) {
  int last = 0;
  while (!done(bracket.good, bracket.bad)) {
    const double share = bracket.of_bad / (bracket.of_bad - bracket.of_good);
    const double log_bad = std::log(bracket.bad), log_good = std::log(bracket.good);
    const double guess = std::exp(log_bad + std::clamp(share, 0.001, 0.999) * (log_good - log_bad));
    const double of_guess = excess(guess);
    const int side = of_guess <= 0 ? 1 : -1;
    if (side > 0) {
      bracket.good = guess;
      bracket.of_good = of_guess;
      if (last == side) bracket.of_bad /= 2;
    } else {
      bracket.bad = guess;
      bracket.of_bad = of_guess;
      if (last == side) bracket.of_good /= 2;
    }
    last = side;
  }
  return bracket.good;
}

class Question {
 public:
  Question(const MakeAccountant& make, double delta, double target)
      : make_(make), delta_(delta), target_(target) {}

  // ln(epsilon / target) with this event, between -7 and 700.
  double excess(const PrivacyEvent& event) const {
    const auto accountant = make_();
    accountant->add(event);
    const double ratio = accountant->epsilon(delta_) / target_;
    return ratio <= 1 ? std::log(std::max(ratio, 1e-3)) : std::min(std::log(ratio), 700.0);
  }

 private:
  const MakeAccountant& make_;
  const double delta_, target_;
};

}  // namespace

double noise_multiplier_for(const MakeAccountant& make, PrivacyEvent event, double delta,
                            double target_epsilon) {
  const Question question(make, delta, target_epsilon);
  const auto excess = [&](double noise) {
    event.noise_multiplier = noise;
    return question.excess(event);
  };
  Bracket bracket{1, 1, excess(1), 0};
  bracket.of_bad = bracket.of_good;
  while (bracket.of_good > 0) {
    if (bracket.good >= kMostNoise)
      throw ConfigError("epsilon " + shortest(target_epsilon) + " at delta " + shortest(delta) +
                        ": no noise multiplier up to " + shortest(kMostNoise) + " is enough");
    bracket = {2 * bracket.good, bracket.good, excess(2 * bracket.good), bracket.of_good};
  }
  while (bracket.of_bad <= 0) {
    if (bracket.bad <= kLeastNoiseMultiplier) return kLeastNoiseMultiplier;
    const double less = std::max(kLeastNoiseMultiplier, bracket.bad / 2);
    bracket = {bracket.bad, less, bracket.of_bad, excess(less)};
  }
  return narrowed(bracket, excess, [](double good, double bad) { return good - bad <= kClose * good; });
}

std::uint64_t steps_for(const MakeAccountant& make, PrivacyEvent event, double delta, double target_epsilon) {
  const Question question(make, delta, target_epsilon);
  const auto excess = [&](double steps) {
    event.steps = static_cast<std::uint64_t>(steps);
    return question.excess(event);
  };
  Bracket bracket{0, 1, 0, excess(1)};
  while (bracket.of_bad <= 0) {
    if (bracket.bad >= kMostSearchedSteps) return static_cast<std::uint64_t>(kMostSearchedSteps);
    const double more = std::min(2 * bracket.bad, kMostSearchedSteps);
    bracket = {bracket.bad, more, bracket.of_bad, excess(more)};
  }
  if (bracket.good == 0) return 0;
  return static_cast<std::uint64_t>(narrowed(
      bracket, excess, [](double good, double bad) { return std::floor(bad) - std::floor(good) <= 1; }));
}

}  // namespace gossamer
