#include "privacy/private_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "privacy/clip.h"
#include "tests/privacy/private_options.h"

namespace gossamer::testing {
namespace {

using Updates = std::vector<FloatBuffer>;

PrivacyPlan central_plan(Given given = {}) {
  given.insert({"privacy.placement", "central"});
  return privacy_plan(private_options(given));
}

FloatBuffer mean_of(const PrivacyPlan& plan, const Updates& updates, std::size_t n, std::uint64_t round = 1) {
  PrivateSum sum(plan, n);
  sum.begin();
  for (FloatBuffer update : updates) sum.add(update);
  FloatBuffer mean(n);
  sum.finish(mean, round);
  return mean;
}

Updates random_updates(std::size_t count, std::size_t n, double size) {
  Updates updates;
  for (std::size_t i = 0; i < count; ++i) updates.push_back(normal_values(n, i, size));
  return updates;
}

TEST(PrivateSum, IsTheSameInAnyOrder) {
  for (const char* mechanism : {"gaussian", "laplace"}) {
    const PrivacyPlan plan =
        central_plan({{"privacy.mechanism", mechanism}, {"privacy.noise_multiplier", "0.01"}});
    Updates updates = random_updates(60, 500, 0.03);
    const FloatBuffer mean = mean_of(plan, updates, 500);
    Rng rng(4, Purpose::test);
    for (int i = 0; i < 5; ++i) {
      for (std::size_t k = updates.size(); k > 1; --k) std::swap(updates[k - 1], updates[rng.below(k)]);
      EXPECT_EQ(mean_of(plan, updates, 500), mean);
    }
  }
}

// With and without a client, however adverse, the noise is the same, so that the difference is what the
// client moved: exactly, since all are whole multiples of the noise's grid that a double holds.
TEST(PrivateSum, AClientMovesItByNoMoreThanTheNorm) {
  for (const char* mechanism : {"gaussian", "laplace"}) {
    PrivacyPlan plan = central_plan({{"privacy.mechanism", mechanism}, {"privacy.clip_norm", "0.7"}});
    plan.denominator = 1;
    const Updates others = random_updates(20, 300, 0.05);
    const FloatBuffer without = mean_of(plan, others, 300);
    for (const double size : {1e-4, 0.03, 1.0, 1e20}) {
      Updates all = others;
      all.push_back(normal_values(300, 99, size));
      const FloatBuffer with = mean_of(plan, all, 300);
      FloatBuffer moved(300);
      std::ranges::transform(with, without, moved.begin(), std::minus<>{});
      EXPECT_LE(norm_for(plan.noise, moved), 0.7 * (1 + 1e-6)) << mechanism << ' ' << size;
      if (size >= 1) {
        EXPECT_GE(norm_for(plan.noise, moved), 0.69);
      }
    }
  }
}

TEST(PrivateSum, SaysWhomItHadToClip) {
  PrivateSum sum(central_plan({{"privacy.clip_norm", "2"}}), 4);
  sum.begin();
  FloatBuffer at_the_norm{2, 0, 0, 0}, rounded{2.000001F, 0, 0, 0}, longer{0, 2.1F, 0, 0},
      far{0, 0, 1e30F, 0};
  EXPECT_FALSE(sum.add(at_the_norm));
  EXPECT_FALSE(sum.add(rounded));
  EXPECT_TRUE(sum.add(longer));
  EXPECT_TRUE(sum.add(far));
  EXPECT_LE(sum.longest(), 2);
  EXPECT_GT(sum.longest(), 1.99);
  sum.begin();
  EXPECT_EQ(sum.longest(), 0);
}

TEST(PrivateSum, WhatIsNotFiniteCountsNothing) {
  const PrivacyPlan plan = central_plan();
  const Updates others = random_updates(5, 10, 0.1);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    Updates all = others;
    all.push_back(normal_values(10, 50, 0.1));
    all.back()[3] = bad;
    EXPECT_EQ(mean_of(plan, all, 10), mean_of(plan, others, 10));
    PrivateSum sum(plan, 10);
    EXPECT_TRUE(sum.add(all.back()));
  }
}

TEST(PrivateSum, HasTheNoiseOfItsPlanEvenIfNobodyCame) {
  constexpr std::size_t kEmpty = 100'000;
  for (const char* mechanism : {"gaussian", "laplace"}) {
    const PrivacyPlan plan = central_plan({{"privacy.mechanism", mechanism},
                                           {"privacy.clip_norm", "3"},
                                           {"privacy.noise_multiplier", "1.5"},
                                           {"data.clients", "20"}});
    const FloatBuffer mean = mean_of(plan, {}, kEmpty);
    const double size =
        mechanism == std::string("laplace") ? l1(mean) / kEmpty : l2(mean) / std::sqrt(kEmpty);
    const double expected = 1.5 * 3 / 20;
    EXPECT_NEAR(size, expected, 0.01 * expected) << mechanism;
  }
}

TEST(PrivateSum, DrawsAnewInEachRound) {
  EXPECT_NE(mean_of(central_plan(), {}, 50, 1), mean_of(central_plan(), {}, 50, 2));
  EXPECT_EQ(mean_of(central_plan(), {}, 50, 1), mean_of(central_plan(), {}, 50, 1));
  const PrivacyPlan secret = central_plan({{"privacy.insecure_seed", "-1"}});
  EXPECT_NE(mean_of(secret, {}, 50), mean_of(secret, {}, 50));
}

TEST(PrivateSum, DividesByTheSameNumberWhoeverCame) {
  for (const auto& [given, denominator] : std::vector<std::pair<Given, double>>{
           {{{"data.clients", "20"}}, 20},
           {{{"data.clients", "20"}, {"cohort.fraction", "0.25"}}, 5},
           {{{"data.clients", "20"}, {"cohort.fraction", "0.13"}}, 3},  // cohorts are whole
           {{{"data.clients", "20"}, {"cohort.fraction", "0.13"}, {"cohort.sampler", "poisson"}}, 2.6},
           {{{"data.clients", "20"}, {"cohort.size", "4"}, {"cohort.sampler", "poisson"}}, 4},
           {{{"data.clients", "20"}, {"cohort.fraction", "0.5"}, {"privacy.total_weight", "12"}}, 6}}) {
    Given all = given;
    all.insert({"privacy.noise_multiplier", "0"});
    for (const std::size_t came : {1U, 3U, 40U}) {
      const FloatBuffer mean = mean_of(central_plan(all), Updates(came, FloatBuffer{0.5F, -0.25F}), 2);
      const double times = static_cast<double>(came) / denominator;
      EXPECT_NEAR(static_cast<double>(mean[0]), 0.5 * times, 1e-6);
      EXPECT_NEAR(static_cast<double>(mean[1]), -0.25 * times, 1e-6);
    }
  }
}

TEST(PrivateSum, WithoutNoiseAndBoundIsThePlainMean) {
  const PrivacyPlan plan = central_plan({{"privacy.noise_multiplier", "0"}, {"privacy.clip_norm", "inf"}});
  const Updates updates = random_updates(10, 100, 50);
  const FloatBuffer mean = mean_of(plan, updates, 100);
  for (std::size_t i = 0; i < mean.size(); ++i) {
    double sum = 0;
    for (const FloatBuffer& update : updates) sum += static_cast<double>(update[i]);
    EXPECT_EQ(mean[i], static_cast<float>(sum / 10));
  }
}

TEST(PrivateSum, ReleasesParametersOnly) {
  PrivateSum sum(central_plan(), 3);
  sum.begin();
  FloatBuffer update{0.1F, 0.1F, 0.1F, 50, 60};
  EXPECT_FALSE(sum.add(update));  // nor do the others count for the norm
  FloatBuffer mean(5, 7.0F);
  sum.finish(mean, 1);
  EXPECT_NE(mean[2], 0);
  EXPECT_EQ(mean[3], 0);
  EXPECT_EQ(mean[4], 0);
}

TEST(PrivateSum, BeginsAnew) {
  const PrivacyPlan plan = central_plan();
  PrivateSum sum(plan, 4);
  FloatBuffer before{1, 2, 3, 4}, after{0.1F, 0.2F, 0.3F, 0.4F}, mean(4);
  sum.add(before);
  sum.begin();
  sum.add(after);
  sum.finish(mean, 1);
  EXPECT_EQ(mean, mean_of(plan, {{0.1F, 0.2F, 0.3F, 0.4F}}, 4));
}

}  // namespace
}  // namespace gossamer::testing
