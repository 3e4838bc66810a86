#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "server/cohort/cohort_sampler.h"
#include "server_schema.h"

namespace gossamer {
namespace {

TEST(CohortSampler, EveryMethodGivesDistinctAscendingMembersOfThePopulation) {
  for (const std::string& name : cohort_samplers().names()) {
    const auto sampler = cohort_samplers().make(server_options({{"cohort.sampler", name}}));
    for (std::int64_t population : {1, 2, 7, 1'000'000}) {
      for (std::int64_t size : {std::int64_t{1}, std::min<std::int64_t>(population, 5)}) {
        const auto cohort = sampler->sample(population, size, 3, 1);
        if (sampler->fixed_size()) {
          EXPECT_EQ(static_cast<std::int64_t>(cohort.size()), size);
        }
        EXPECT_TRUE(std::ranges::is_sorted(cohort));
        EXPECT_TRUE(std::adjacent_find(cohort.begin(), cohort.end()) == cohort.end());
        for (const std::int64_t member : cohort) EXPECT_TRUE(member >= 0 && member < population);
      }
    }
    const auto all =
        cohort_samplers().make(server_options({{"cohort.sampler", name}, {"cohort.fraction", "1"}}));
    EXPECT_EQ(all->sample(5, 5, 3, 9), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  }
}

TEST(CohortSampler, DependsOnSeedAndRoundOnly) {
  const auto sampler = cohort_samplers().make(server_options({}));
  EXPECT_EQ(sampler->sample(1000, 10, 1, 5), sampler->sample(1000, 10, 1, 5));
  EXPECT_NE(sampler->sample(1000, 10, 1, 5), sampler->sample(1000, 10, 2, 5));
  EXPECT_NE(sampler->sample(1000, 10, 1, 5), sampler->sample(1000, 10, 1, 6));
}

TEST(CohortSampler, UniformChoosesEverybodyEquallyOften) {
  const auto sampler = cohort_samplers().make(server_options({}));
  constexpr int kRounds = 20'000;
  std::vector<int> taken(10);
  for (Round round = 1; round <= kRounds; ++round) {
    for (const std::int64_t client : sampler->sample(10, 3, 1, round))
      ++taken[static_cast<std::size_t>(client)];
  }
  const double expected = kRounds * 0.3;
  for (const int count : taken) EXPECT_NEAR(count, expected, 5 * std::sqrt(kRounds * 0.3 * 0.7));
}

std::unique_ptr<CohortSampler> poisson(std::map<std::string, std::string> given) {
  given["cohort.sampler"] = "poisson";
  return cohort_samplers().make(server_options(given));
}

std::map<std::string, std::string> centrally_private() {
  return {{"privacy.mechanism", "gaussian"},
          {"privacy.placement", "central"},
          {"privacy.clip_norm", "1"},
          {"privacy.noise_multiplier", "1"},
          {"cohort.fraction", "0.3"}};
}

void expect_times(double count, double trials, double probability) {
  EXPECT_NEAR(count, trials * probability, 5 * std::sqrt(trials * probability * (1 - probability)));
}

// Each client by itself: neither cohorts of a size, nor pairs that keep together, nor rounds that agree.
void expect_independent_draws(CohortSampler& sampler, double rate) {
  constexpr int kRounds = 5000, kClients = 20;
  std::vector<double> taken(kClients);
  double pairs = 0, again = 0, squares = 0;
  std::vector<bool> before(kClients);
  for (Round round = 1; round <= kRounds; ++round) {
    std::vector<bool> in(kClients);
    const auto cohort = sampler.sample(kClients, 1, 1, round);
    for (const std::int64_t client : cohort) in[static_cast<std::size_t>(client)] = true;
    for (std::size_t i = 0; i < in.size(); ++i) {
      taken[i] += in[i] ? 1 : 0;
      again += in[i] && before[i] ? 1 : 0;
      pairs += i > 0 && in[i] && in[i - 1] ? 1 : 0;
    }
    squares += std::pow(static_cast<double>(cohort.size()) - rate * kClients, 2);
    before = in;
  }
  for (const double count : taken) expect_times(count, kRounds, rate);
  expect_times(again, (kRounds - 1) * kClients, rate * rate);
  expect_times(pairs, kRounds * (kClients - 1), rate * rate);
  const double variance = kClients * rate * (1 - rate);
  EXPECT_NEAR(squares / kRounds, variance, 5 * variance * std::sqrt(2.0 / kRounds));
}

TEST(PoissonSampler, TakesEachClientByItselfWithTheRate) {
  expect_independent_draws(*poisson({{"cohort.fraction", "0.3"}}), 0.3);
  expect_independent_draws(*poisson({{"data.clients", "40"}, {"cohort.size", "2"}}), 0.05);
  auto seeded = centrally_private();
  seeded["privacy.insecure_seed"] = "3";
  expect_independent_draws(*poisson(seeded), 0.3);
}

TEST(PoissonSampler, MayTakeNobody) {
  const auto sampler = poisson({{"cohort.fraction", "0.01"}});
  int empty = 0;
  for (Round round = 1; round <= 1000; ++round) empty += sampler->sample(10, 1, 1, round).empty() ? 1 : 0;
  expect_times(empty, 1000, std::pow(0.99, 10));
}

// 1,024 clients who would all have to be drawn alike.
TEST(PoissonSampler, KeepsItsCohortsFromWhoKnowsTheSeed) {
  const auto cohort = [](const std::map<std::string, std::string>& given, std::uint64_t seed) {
    return poisson(given)->sample(1024, 1, seed, 1);
  };
  const auto secret = centrally_private();
  EXPECT_NE(cohort(secret, 1), cohort(secret, 1));

  auto seeded = centrally_private();
  seeded["privacy.insecure_seed"] = "3";
  EXPECT_EQ(cohort(seeded, 1), cohort(seeded, 2));  // nor does run.seed decide
  auto other = seeded;
  other["privacy.insecure_seed"] = "4";
  EXPECT_NE(cohort(seeded, 1), cohort(other, 1));
  EXPECT_NE(poisson(seeded)->sample(1024, 1, 1, 1), poisson(seeded)->sample(1024, 1, 1, 2));

  auto of_clients = centrally_private();  // nothing is amplified: what a run repeats is the cohort too
  of_clients["privacy.placement"] = "client";
  EXPECT_EQ(cohort(of_clients, 1), cohort(of_clients, 1));
  EXPECT_NE(cohort(of_clients, 1), cohort(of_clients, 2));
}

// As many of those who are there as if all were.
TEST(PoissonSampler, TakesNobodyMoreOftenBecauseOthersAreAway) {
  const auto sampler = poisson({{"cohort.fraction", "0.3"}, {"data.clients", "100"}});
  double taken = 0;
  for (Round round = 1; round <= 5000; ++round)
    taken += static_cast<double>(sampler->sample(10, 10, 1, round).size());
  expect_times(taken, 5000 * 10, 0.3);
  EXPECT_FALSE(sampler->fixed_size());
}

}  // namespace
}  // namespace gossamer
