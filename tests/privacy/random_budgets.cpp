#include "tests/privacy/random_budgets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/rng.h"
#include "tests/privacy/exact_loss.h"
#include "tests/privacy/make_accountant.h"

namespace gossamer::testing {
namespace {

double between(Rng& rng, double low, double high) {
  return std::exp(std::log(low) + rng.uniform() * (std::log(high) - std::log(low)));
}

void check_order(const PrivacyEvent& event, double delta) {
  const double rdp = epsilon_by("rdp", event, delta), pld = epsilon_by("pld", event, delta);
  EXPECT_LE(pld, rdp);
  PrivacyEvent noisier = event, more_sampled = event, longer = event;
  noisier.noise_multiplier *= 1.05;
  more_sampled.sampling_rate = std::min(1.0, 1.05 * event.sampling_rate);
  longer.steps += event.steps / 20 + 1;
  for (const std::string name : {"rdp", "pld"}) {
    SCOPED_TRACE(name);
    const double epsilon = name == "rdp" ? rdp : pld;
    EXPECT_LE(epsilon_by(name, noisier, delta), epsilon);
    EXPECT_GE(epsilon_by(name, more_sampled, delta), epsilon);
    EXPECT_GE(epsilon_by(name, longer, delta), epsilon);
  }
}

}  // namespace

void check_random_budgets(int first, int last) {
  int known = 0;
  for (int number = first; number < last; ++number) {
    Rng rng(5, Purpose::test, static_cast<std::uint64_t>(number));
    PrivacyEvent event;
    event.sampling_rate = rng.below(10) == 0 ? 1 : between(rng, 1e-3, 1);
    event.noise_multiplier = between(rng, 0.5, 10);
    event.steps = static_cast<std::uint64_t>(between(rng, 1, 20'000));
    const double delta = between(rng, 1e-10, 1e-2);
    SCOPED_TRACE("number " + std::to_string(number) + ": q = " + std::to_string(event.sampling_rate) +
                 ", sigma = " + std::to_string(event.noise_multiplier) +
                 ", T = " + std::to_string(event.steps) + ", delta = " + std::to_string(delta));
    check_order(event, delta);
    const double epsilon = epsilon_by("pld", event, delta);
    const double exact = epsilon > 0 ? exact_delta(std::span(&event, 1), epsilon) : std::nan("");
    if (std::isnan(exact)) continue;
    ++known;
    EXPECT_LE(exact, delta * (1 + 1e-8));
    const double less = epsilon - 1e-3 * std::max(1.0, epsilon);
    const double of_less = less > 0 ? exact_delta(std::span(&event, 1), less) : std::nan("");
    if (!std::isnan(of_less)) {
      EXPECT_GE(of_less, delta);
    }
  }
  EXPECT_GE(known, (last - first) / 2);
}

}  // namespace gossamer::testing
