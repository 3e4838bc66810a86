#include "privacy/adaptive_clip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "core/error.h"
#include "tests/privacy/private_options.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

PrivacyPlan plan_of(double clients, double noise, AdaptiveClipping adaptive = {}) {
  PrivacyPlan plan = privacy_plan(private_options({{"privacy.placement", "central"}}));
  plan.denominator = clients;
  plan.noise_multiplier = noise;
  plan.adaptive = adaptive;
  return plan;
}

void play_round(AdaptiveClip& clip, std::span<const double> norms, std::uint64_t round) {
  clip.begin();
  const double bound = clip.clip_norm();
  for (const double norm : norms) clip.add(norm <= bound);
  clip.finish(round);
}

std::vector<double> some_norms(std::size_t count) {
  Rng rng(3, Purpose::test);
  std::vector<double> norms(count);
  for (double& norm : norms) norm = 20 * std::exp(rng.normal());
  std::ranges::sort(norms);
  return norms;
}

TEST(AdaptiveClip, GoesByTheRuleOfThePaper) {
  AdaptiveClip clip(plan_of(4, 0));
  EXPECT_EQ(clip.clip_norm(), 1);
  play_round(clip, std::vector{0.1, 0.2, 1.0, 5.0}, 1);  // three of four
  EXPECT_NEAR(clip.clip_norm(), std::exp(-0.2 * 0.25), 1e-12);
  play_round(clip, std::vector{7.0, 7.0, 7.0, 7.0}, 2);  // nobody
  EXPECT_NEAR(clip.clip_norm(), std::exp(-0.05 + 0.1), 1e-12);
}

TEST(AdaptiveClip, FindsTheQuantileWithAndWithoutNoise) {
  const std::vector<double> norms = some_norms(1000);
  for (const double quantile : {0.1, 0.5, 0.9}) {
    for (const double noise : {0.0, 1.0}) {
      AdaptiveClip clip(plan_of(1000, noise, {quantile, 0.2, 0}));
      for (std::uint64_t round = 1; round <= 200; ++round) play_round(clip, norms, round);
      const auto below = std::ranges::upper_bound(norms, clip.clip_norm()) - norms.begin();
      EXPECT_NEAR(static_cast<double>(below) / 1000, quantile, 0.05) << quantile << ' ' << noise;
    }
  }
}

TEST(AdaptiveClip, BitsAndUpdatesTogetherCostWhatThePlanSays) {
  for (const double noise : {0.3, 1.0, 4.0}) {
    for (const double bits : {2.5, 5.0, 50.0}) {
      const AdaptiveClip clip(plan_of(100, noise, {0.5, 0.2, bits}));
      const double of_updates = 1 / clip.noise_multiplier(), of_bits = 0.5 / bits;
      EXPECT_NEAR(of_updates * of_updates + of_bits * of_bits, 1 / (noise * noise), 1e-12);
      EXPECT_GT(clip.noise_multiplier(), noise);
    }
  }
  EXPECT_EQ(AdaptiveClip(plan_of(100, 0)).noise_multiplier(), 0);
}

TEST(AdaptiveClip, RefusesBitsThatAloneCostMore) {
  for (const double bits : {0.1, 0.5}) {
    try {
      const AdaptiveClip clip(plan_of(100, 1, {0.5, 0.2, bits}));
      ADD_FAILURE() << bits;
    } catch (const ConfigError& e) {
      EXPECT_THAT(e.what(), HasSubstr("privacy.adaptive.bit_noise = 0."));
      EXPECT_THAT(e.what(), HasSubstr("expected a number above 0.5"));
    }
  }
  EXPECT_THROW(AdaptiveClip(plan_of(10, 1)), ConfigError);  // 10 clients / 20
  EXPECT_NO_THROW(AdaptiveClip(plan_of(10, 1, {0.5, 0.2, 0.51})));
}

// From where the next norm went: its logarithm is the noisy share.
TEST(AdaptiveClip, HasTheNoiseOfItsBits) {
  constexpr int kRounds = 20'000;
  const double bits = 5, clients = 100;
  AdaptiveClip clip(plan_of(clients, 1, {0.5, 0.2, bits}));
  double squares = 0, sum = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    clip.restore(1);
    clip.finish(round);
    const double noise = -std::log(clip.clip_norm()) / 0.2 * clients;
    sum += noise;
    squares += noise * noise;
  }
  EXPECT_NEAR(std::sqrt(squares / kRounds), bits, 0.015 * bits);
  EXPECT_NEAR(sum / kRounds, 0, 5 * bits / std::sqrt(kRounds));
}

TEST(AdaptiveClip, AClientMovesTheShareByHalfABit) {
  const PrivacyPlan plan = plan_of(100, 1, {0.5, 0.2, 5});
  const auto share = [&](int within, int without) {
    AdaptiveClip clip(plan);
    clip.begin();
    for (int i = 0; i < within; ++i) clip.add(true);
    for (int i = 0; i < without; ++i) clip.add(false);
    clip.finish(1);
    return -std::log(clip.clip_norm()) / 0.2;
  };
  EXPECT_NEAR(share(31, 20) - share(30, 20), 0.005, 1e-6);
  EXPECT_NEAR(share(30, 21) - share(30, 20), -0.005, 1e-6);
}

TEST(AdaptiveClip, GoesOnFromACheckpoint) {
  const std::vector<double> norms = some_norms(50);
  AdaptiveClip clip(plan_of(50, 1));
  for (std::uint64_t round = 1; round <= 5; ++round) play_round(clip, norms, round);
  AdaptiveClip again(plan_of(50, 1));
  again.restore(clip.clip_norm());
  play_round(clip, norms, 6);
  play_round(again, norms, 6);
  EXPECT_EQ(again.clip_norm(), clip.clip_norm());
  for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_THROW(again.restore(bad), FileError);
}

}  // namespace
}  // namespace gossamer::testing
