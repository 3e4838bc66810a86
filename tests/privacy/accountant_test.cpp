// Accountants against published figures, closed forms and an oracle that shares no method with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>

#include "core/error.h"
#include "privacy/accountants/fourier.h"
#include "privacy/accountants/renyi.h"
#include "privacy/accountants/search.h"
#include "tests/privacy/exact_loss.h"
#include "tests/privacy/make_accountant.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

PrivacyEvent gaussian(double q, double sigma, std::uint64_t steps) {
  return {NoiseKind::gaussian, sigma, q, steps};
}
PrivacyEvent laplace(double q, double scale, std::uint64_t steps) {
  return {NoiseKind::laplace, scale, q, steps};
}

// Opacus, TensorFlow Privacy, Abadi et al. 2016 and McMahan et al. 2018; more digits by Opacus' rdp.py.
struct Row {
  double q, sigma;
  std::uint64_t steps;
  double delta, improved, classic;
};
constexpr Row kRows[] = {
    {.04, 1.5, 2250, 1e-5, 7.3291112, 8.073848},
    {.0025, 1.3, 6000, 1e-5, .7242234, .941871},
    {256. / 60000, 1.1, 14062, 1e-5, 2.596556, 3.008272},
    {256. / 60000, 1.1, 234, 1e-5, .740234, 1.034023},
    {.004, 1.3, 3750, 1e-5, .922049, 1.159749},
    {.004, 1.1, 15000, 1e-5, 2.502871, 2.905045},
    {.01, 4, 10000, 1e-5, 1.035490, 1.258575},
    {.01, 1, 1000, 1e-5, 2.101365, 2.537983},
    {1, 5, 10, 1e-5, 2.813653, 3.234859},
    {5000. / 763430, 1, 5000, 1e-9, 4.183291, 4.591912},
};

// To one in a million, or to all the digits that there are.
void expect_published(double value, double published, double digit) {
  EXPECT_NEAR(value, published, std::max(1e-6 * published, 0.51 * digit));
}

TEST(Rdp, GivesThePublishedFigures) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.improved);
    const PrivacyEvent event = gaussian(row.q, row.sigma, row.steps);
    expect_published(epsilon_by("rdp", event, row.delta), row.improved, 1e-6);
    expect_published(epsilon_by("rdp", event, row.delta, "classic"), row.classic, 1e-6);
  }
  EXPECT_NEAR(epsilon_by("rdp", gaussian(.04, 1.5, 2250), 1e-5), 7.32911117143, 1e-10);
  EXPECT_NEAR(epsilon_by("rdp", gaussian(.0025, 1.3, 6000), 1e-5), .7242234026, 1e-9);
  EXPECT_NEAR(epsilon_by("rdp", gaussian(.1, 1, 100), 1e-5), 7.899, 5e-4);
  EXPECT_NEAR(epsilon_by("rdp", gaussian(.1, 1, 100), 1e-4), 6.822, 5e-4);
}

TEST(Rdp, WholeOrdersGiveTheFigureOfDpFedAvg) {
  double least = std::numeric_limits<double>::infinity();
  for (int order = 2; order < 64; ++order) {
    const double divergence = 5000 * renyi_divergence(gaussian(5000. / 763430, 1, 1), order);
    least = std::min(least, epsilon_of(order, divergence, 1e-9, Conversion::classic));
  }
  expect_published(least, 4.633789, 1e-6);
}

TEST(Rdp, OneStepGivesThePublishedDivergences) {
  const double published[][4] = {{.01, 1, 2, 1.7181342207e-4},     {.01, 1, 1.5, 1.2725374351e-4},
                                 {.01, 4, 16, 5.2072097006e-5},    {.1, 2, 5, 7.7369684898e-3},
                                 {.04, 1.5, 6.3, 3.1765183077e-3}, {1, 2, 7, .875}};
  for (const auto& [q, sigma, order, divergence] : published)
    EXPECT_NEAR(renyi_divergence(gaussian(q, sigma, 1), order), divergence, 2e-9 * divergence) << order;
  // By quadrature with 30 digits; the series' error is on the safe side.
  const double exact[][4] = {{.01, 1, 1.5, 1.2725374332745e-4},
                             {.04, 1.5, 6.3, 3.17651830767365e-3},
                             {.04, 1.5, 3.9, 1.83320219958386e-3}};
  for (const auto& [q, sigma, order, divergence] : exact) {
    const double found = renyi_divergence(gaussian(q, sigma, 1), order);
    EXPECT_NEAR(found, divergence, 1e-14 / (order - 1)) << order;
    EXPECT_GE(found, divergence - 1e-15) << order;
  }
  EXPECT_NEAR(renyi_divergence(gaussian(.01, 1, 1), 2), std::log1p(1e-4 * (std::numbers::e - 1)), 1e-17);
}

TEST(Rdp, SeriesOfAnyOrderMeetThoseOfWholeOrders) {
  for (const double q : {1e-4, 0.01, 0.5, 0.99}) {
    for (const double sigma : {0.4, 1.0, 8.0}) {
      for (const int order : {2, 5, 10}) {
        const double whole = renyi_divergence(gaussian(q, sigma, 1), order);
        const double near = renyi_divergence(gaussian(q, sigma, 1), order * (1 + 1e-12));
        EXPECT_NEAR(near, whole, 1e-10 * whole + 2e-13 * order) << q << ' ' << sigma << ' ' << order;
      }
    }
  }
  // Beyond what doubles hold: exp(1024^2 / (2 * 0.05^2)).
  EXPECT_NEAR(renyi_divergence(gaussian(0.01, 0.05, 1), 1024) / (1024 / (2 * 0.05 * 0.05)), 1, 1e-4);
}

TEST(Rdp, LaplaceHasItsClosedForm) {
  for (const double scale : {0.1, 1.0, 10.0}) {
    for (const double order : {1.1, 2.0, 64.0, 1024.0}) {
      const double closed = std::log(order / (2 * order - 1) * std::exp((order - 1) / scale) +
                                     (order - 1) / (2 * order - 1) * std::exp(-order / scale)) /
                            (order - 1);
      if (!std::isfinite(closed)) continue;
      EXPECT_NEAR(renyi_divergence(laplace(1, scale, 1), order), closed, 1e-9 * closed)
          << scale << ' ' << order;
    }
  }
  // Sampled, order 2: E ratio^2 = 1 + q^2 (E exp(2 s) - 1).
  const double second = 2. / 3 * std::numbers::e + std::exp(-2.) / 3;
  EXPECT_NEAR(renyi_divergence(laplace(.01, 1, 1), 2), std::log1p(1e-4 * (second - 1)), 1e-12);
}

PrivacyEvent pure(double epsilon, std::uint64_t steps) { return {NoiseKind::pure, 1 / epsilon, 1, steps}; }

// Mironov 2017, proposition 5, with the probability of the truth that makes it epsilon.
TEST(Rdp, PureHasTheClosedFormOfRandomizedResponse) {
  for (const double epsilon : {0.01, 1.0, 5.0}) {
    for (const double order : {1.1, 2.0, 32.0}) {
      const double truth = 1 / (1 + std::exp(-epsilon)), lie = 1 - truth;
      const double closed = std::log(std::pow(truth, order) * std::pow(lie, 1 - order) +
                                     std::pow(lie, order) * std::pow(truth, 1 - order)) /
                            (order - 1);
      EXPECT_NEAR(renyi_divergence(pure(epsilon, 1), order), closed, 1e-9 * closed)
          << epsilon << ' ' << order;
    }
  }
}

// delta(epsilon') of k answers: over the number of truths (Kairouz, Oh, Viswanath 2015, theorem 3.3).
double exact_delta_of_answers(double epsilon, int k, double at) {
  double delta = 0;
  for (int truths = 0; truths <= k; ++truths) {
    const double loss = (2 * truths - k) * epsilon;
    if (loss <= at) continue;
    const double log_mass = std::lgamma(k + 1.0) - std::lgamma(truths + 1.0) - std::lgamma(k - truths + 1.0) +
                            truths * epsilon - k * std::log1p(std::exp(epsilon));
    delta += std::exp(log_mass) * -std::expm1(at - loss);
  }
  return delta;
}

TEST(Accountants, WhatIsPureComposesAsRandomizedResponseDoes) {
  for (const auto& [epsilon, steps] : {std::pair{0.1, 200}, std::pair{1.0, 10}, std::pair{0.02, 3000}}) {
    const PrivacyEvent event = pure(epsilon, static_cast<std::uint64_t>(steps));
    for (const double delta : {1e-9, 1e-5}) {
      const double found = epsilon_by("pld", event, delta);
      EXPECT_LE(exact_delta_of_answers(epsilon, steps, found), delta * (1 + 1e-9)) << epsilon;
      EXPECT_GE(exact_delta_of_answers(epsilon, steps, found - 1e-3), delta) << epsilon;
      EXPECT_LE(found, epsilon_by("rdp", event, delta)) << epsilon;
      EXPECT_LE(found, epsilon * steps * (1 + 1e-12)) << epsilon;
      // It tells more than Laplace noise of the same epsilon, where not all of that is claimed.
      if (found > 0.99 * epsilon * steps) continue;
      EXPECT_GT(found,
                epsilon_by("pld", {NoiseKind::laplace, event.noise_multiplier, 1, event.steps}, delta));
    }
  }
  EXPECT_NEAR(epsilon_by("pld", pure(3, 1), 1e-12), 3, 1e-3);
}

TEST(Pld, IsWithinAThousandthOfTheExactValuesAndNeverBelow) {
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.improved);
    const PrivacyEvent event = gaussian(row.q, row.sigma, row.steps);
    const double epsilon = epsilon_by("pld", event, row.delta);
    EXPECT_LE(exact_delta(std::span(&event, 1), epsilon), row.delta * (1 + 1e-9));
    EXPECT_GE(exact_delta(std::span(&event, 1), epsilon - 1e-3), row.delta);
    EXPECT_LT(epsilon, row.improved);
  }
  EXPECT_NEAR(epsilon_by("pld", gaussian(.04, 1.5, 2250), 1e-5), 6.7688, 1e-3);
  EXPECT_NEAR(epsilon_by("pld", gaussian(.01, 4, 10000), 1e-5), .9471, 1e-3);
  EXPECT_NEAR(epsilon_by("pld", gaussian(.01, 1, 1000), 1e-5), 1.8282, 1e-3);
}

TEST(Pld, OfASingleStepHasItsClosedForm) {
  const auto normal = [](double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; };
  for (const double sigma : {0.05, 0.7, 3.0}) {
    const auto exact = [&](double e) {
      return normal(0.5 / sigma - e * sigma) - std::exp(e) * normal(-0.5 / sigma - e * sigma);
    };
    for (const double delta : {1e-12, 1e-5, 1e-2}) {
      const double epsilon = epsilon_by("pld", gaussian(1, sigma, 1), delta);
      if (epsilon > 700) continue;
      EXPECT_LE(exact(epsilon), delta * (1 + 1e-9)) << sigma << ' ' << delta;
      EXPECT_GE(exact(std::max(0.0, epsilon * (1 - 1e-4) - 1e-6)), delta) << sigma << ' ' << delta;
      // Sampling at q is worth exactly this, in the direction that counts here.
      const double q = 0.1, sampled = std::log1p(q * std::expm1(epsilon));
      const double found = epsilon_by("pld", gaussian(q, sigma, 1), q * delta);
      EXPECT_GE(found, sampled * (1 - 2e-4) - 1e-6) << sigma << ' ' << delta;
      EXPECT_LE(found, sampled * (1 + 1e-3) + 1e-6) << sigma << ' ' << delta;
    }
  }
  // Where exp(epsilon) is beyond doubles, delta is the probability of a higher loss.
  const double quantile = 3.719016485455709;  // that a normal variable exceeds with probability 1e-4
  const double far = 5e5 + 1e3 * quantile + std::log(.1),
               found_far = epsilon_by("pld", gaussian(.1, .001, 1), 1e-5);
  EXPECT_GE(found_far, far - 4);  // delta is that probability but for 0.4%
  EXPECT_LE(found_far, far + 10);
  for (const double scale : {0.5, 2.0}) {
    for (const double delta : {1e-6, 0.1}) {
      const double exact = 1 / scale + 2 * std::log1p(-delta);
      const double found = epsilon_by("pld", laplace(1, scale, 1), delta);
      EXPECT_GE(found, exact);
      EXPECT_LE(found, exact + 1e-3);
    }
  }
}

TEST(Pld, LaplaceStepsComposeAndNeverExceedTheirPlainSum) {
  for (const double q : {0.02, 1.0}) {
    const double pure = std::log1p(q * std::expm1(1 / 5.0));
    double last = 0;
    for (const std::uint64_t steps : {1U, 10U, 100U, 1000U}) {
      const double found = epsilon_by("pld", laplace(q, 5, steps), 1e-6);
      EXPECT_LE(found, static_cast<double>(steps) * pure * (1 + 1e-15)) << q << ' ' << steps;
      EXPECT_LE(found, epsilon_by("rdp", laplace(q, 5, steps), 1e-6)) << q << ' ' << steps;
      EXPECT_GT(found, last);
      last = found;
    }
  }
  // A change that is spread over two numbers tells less than the same change of one.
  for (const double delta : {1e-9, 1e-3, 0.1})
    EXPECT_LE(epsilon_by("pld", laplace(1, 2, 2), delta), epsilon_by("pld", laplace(1, 1, 1), delta));
  EXPECT_LT(epsilon_by("pld", laplace(1, 2, 2), 0.1), 0.99 * epsilon_by("pld", laplace(1, 1, 1), 0.1));
  EXPECT_LE(epsilon_by("pld", laplace(1, 4, 8), 1e-15), 2);
}

TEST(Pld, NobodyLearnsMoreThanThatARecordTookPart) {
  EXPECT_EQ(epsilon_by("pld", gaussian(1e-9, .05, 1000), 1.1e-6), 0);
  const auto accountant = make_accountant("pld");
  accountant->add(gaussian(1e-9, .05, 1000));
  EXPECT_LE(accountant->delta(0), 1.000001e-6);
  EXPECT_GT(accountant->delta(0), 0.99e-6);
}

TEST(Pld, DeltaAndEpsilonAreInverse) {
  for (const PrivacyEvent& event : {gaussian(.01, 1, 1000), gaussian(1, 3, 4), laplace(.1, 2, 50)}) {
    for (const double delta : {1e-12, 1e-9, 1e-6, 1e-3}) {
      const auto accountant = make_accountant("pld");
      accountant->add(event);
      EXPECT_NEAR(accountant->delta(accountant->epsilon(delta)) / delta, 1, 2e-3);
    }
  }
}

TEST(Accountants, ComposeChangingNoiseAndSamplingRates) {
  const PrivacyEvent events[] = {gaussian(.01, 1, 300), gaussian(.02, 2, 500), gaussian(1, 20, 7)};
  const auto pld = make_accountant("pld");
  for (const PrivacyEvent& event : events) pld->add(event);
  const double epsilon = pld->epsilon(1e-6);
  EXPECT_LE(exact_delta(events, epsilon), 1e-6 * (1 + 1e-9));
  EXPECT_GE(exact_delta(events, epsilon - 1e-3), 1e-6);

  // The order does not matter, nor whether steps come one by one; other kinds of noise only add.
  for (const std::string name : {"rdp", "pld"}) {
    SCOPED_TRACE(name);
    const auto whole = make_accountant(name), parts = make_accountant(name);
    for (const PrivacyEvent& event : events) whole->add(event);
    parts->add(events[1]);
    for (std::uint64_t i = 0; i < 300; ++i) parts->add(gaussian(.01, 1, 1));
    parts->add(events[2]);
    EXPECT_NEAR(parts->epsilon(1e-6), whole->epsilon(1e-6), 1e-9);
    whole->add(laplace(.01, 1, 10));
    EXPECT_GT(whole->epsilon(1e-6), parts->epsilon(1e-6));
  }
}

TEST(Accountants, SpendNothingWithoutEvents) {
  for (const std::string& name : accountants().names()) {
    EXPECT_EQ(make_accountant(name)->epsilon(1e-5), 0) << name;
    EXPECT_EQ(make_accountant(name)->delta(0), 0) << name;
  }
}

TEST(Accountants, LedgersSurvive) {
  for (const std::string& name : accountants().names()) {
    const auto first = make_accountant(name), second = make_accountant(name);
    first->add(gaussian(.01, 1, 3));
    first->add(gaussian(.01, 1, 4));
    first->add(laplace(.5, 2, 5));
    ASSERT_EQ(first->ledger().size(), 2U);
    EXPECT_EQ(first->ledger()[0].steps, 7U);
    second->add(gaussian(1, 1, 100));
    second->restore(first->save());
    EXPECT_EQ(second->save(), first->save());
    EXPECT_EQ(second->epsilon(1e-5), first->epsilon(1e-5));

    auto bytes = first->save();
    bytes.pop_back();
    EXPECT_THROW(second->restore(bytes), FileError);
    for (const std::size_t field : {0U, 1U, 2U, 3U}) {
      bytes = first->save();
      const std::uint64_t rubbish = field == 3 ? 0 : ~std::uint64_t{0};
      std::memcpy(bytes.data() + 32 + 8 * field, &rubbish, 8);
      EXPECT_THROW(second->restore(bytes), FileError) << field;
    }
    EXPECT_EQ(second->epsilon(1e-5), first->epsilon(1e-5));
  }
}

TEST(Accountants, RefuseEventsWithoutMeaning) {
  const auto accountant = make_accountant("rdp");
  const double nan = std::nan("");
  for (const PrivacyEvent& event :
       {gaussian(0, 1, 1), gaussian(1.1, 1, 1), gaussian(nan, 1, 1), gaussian(.1, 0, 1), gaussian(.1, -1, 1),
        gaussian(.1, nan, 1), gaussian(.1, 1e-4, 1), gaussian(.1, 1, 2'000'000'000'000)})
    EXPECT_THROW(accountant->add(event), ConfigError);
  EXPECT_TRUE(accountant->ledger().empty());
}

TEST(Search, FindsTheLeastNoiseThatKeepsToTheTarget) {
  for (const std::string name : {"rdp", "pld"}) {
    SCOPED_TRACE(name);
    const MakeAccountant make = [&] { return make_accountant(name); };
    for (const double target : {0.3, 8.0, 60.0}) {
      PrivacyEvent event = gaussian(.04, 1, 2000);
      event.noise_multiplier = noise_multiplier_for(make, event, 1e-5, target);
      EXPECT_LE(epsilon_by(name, event, 1e-5), target);
      event.noise_multiplier *= 0.9995;
      EXPECT_GT(epsilon_by(name, event, 1e-5), target);
    }
  }
  const MakeAccountant rdp = [] { return make_accountant("rdp"); };
  EXPECT_NEAR(noise_multiplier_for(rdp, gaussian(.04, 1, 2000), 1e-5, 8), 1.3562, 2e-4);
  EXPECT_NEAR(noise_multiplier_for(rdp, gaussian(.04, 1, 2250), 1e-5, 8), 1.416, 5e-4);
  EXPECT_THROW(noise_multiplier_for(rdp, gaussian(1, 1, 1'000'000'000'000), 1e-9, 1e-3), ConfigError);
}

TEST(Search, FindsTheStepsOfABudgetThatIsPartlySpent) {
  for (const std::string name : {"rdp", "pld"}) {
    const MakeAccountant make = [&] {
      auto accountant = make_accountant(name);
      accountant->add(gaussian(.02, 2, 100));
      return accountant;
    };
    const auto spent = [&](std::uint64_t steps) {
      const auto accountant = make();
      accountant->add(gaussian(.01, 1, steps));
      return accountant->epsilon(1e-5);
    };
    const std::uint64_t steps = steps_for(make, gaussian(.01, 1, 1), 1e-5, 2);
    EXPECT_LE(spent(steps), 2) << name;
    EXPECT_GT(spent(steps + 2), 2) << name;
    EXPECT_EQ(steps_for(make, gaussian(.01, 1, 1), 1e-5, 1e-3), 0U) << name;
  }
}

TEST(Fourier, IsTheDefinitionWithinItsBound) {
  constexpr std::size_t kSize = 256;
  const Fourier fourier(kSize);
  std::vector<std::complex<double>> values(kSize);
  double sum = 0;
  for (std::size_t i = 0; i < kSize; ++i) {
    values[i] = {std::sin(1.0 + 7.0 * static_cast<double>(i * i)), std::cos(3.0 * static_cast<double>(i))};
    sum += std::abs(values[i]);
  }
  auto transformed = values;
  fourier.forward(transformed);
  for (std::size_t k = 0; k < kSize; ++k) {
    std::complex<long double> exact = 0;
    for (std::size_t i = 0; i < kSize; ++i)
      exact += std::complex<long double>(values[i]) *
               std::polar(1.0L, -2 * std::numbers::pi_v<long double> *
                                    static_cast<long double>(i * k % kSize) / kSize);
    EXPECT_LE(static_cast<double>(std::abs(std::complex<long double>(transformed[k]) - exact)),
              fourier.error() * sum);
  }
  fourier.inverse(transformed);
  for (std::size_t i = 0; i < kSize; ++i) EXPECT_NEAR(std::abs(transformed[i] - values[i]), 0, 1e-14);
}

}  // namespace
}  // namespace gossamer::testing
