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
    const auto sampler = cohort_samplers().make(server_options(
        {{"cohort.sampler", name}, {"cohort.fraction", "0.3"}, {"privacy.insecure_seed", "1"}}));
    for (std::int64_t population : {1, 2, 7, 1'000'000}) {
      for (std::int64_t size : {std::int64_t{1}, std::min<std::int64_t>(population, 5)}) {
        const auto cohort = sampler->sample(population, size, 3, 1);
        if (sampler->fixed_size()) {
          EXPECT_EQ(static_cast<std::int64_t>(cohort.size()), size);
        }
        EXPECT_TRUE(std::ranges::is_sorted(cohort));
        EXPECT_TRUE(std::adjacent_find(cohort.begin(), cohort.end()) == cohort.end());
        if (cohort.empty()) continue;
        EXPECT_GE(cohort.front(), 0);
        EXPECT_LT(cohort.back(), population);
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

}  // namespace
}  // namespace gossamer
