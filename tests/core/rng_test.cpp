#include "core/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace gossamer {
namespace {

TEST(Rng, SameNameGivesSameNumbers) {
  Rng a(7, Purpose::shuffle, 3, 9);
  Rng b(7, Purpose::shuffle, 3, 9);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(a(), b());
}

TEST(Rng, EveryPartOfTheNameMatters) {
  std::set<std::uint64_t> first;
  for (std::uint64_t seed : {1ULL, 1ULL << 40U}) {
    for (Purpose purpose : {Purpose::shuffle, Purpose::cohort}) {
      for (std::uint64_t client : {0ULL, 1ULL, 1ULL << 33U}) {
        for (std::uint64_t round : {0ULL, 1ULL, 1ULL << 50U})
          first.insert(Rng(seed, purpose, client, round).bits64());
      }
    }
  }
  EXPECT_EQ(first.size(), 2U * 2U * 3U * 3U);
}

TEST(Rng, BelowIsUniformWithinFiveSigma) {
  Rng rng(1, Purpose::test);
  constexpr int kDraws = 700'000;
  std::vector<int> counts(7);
  for (int i = 0; i < kDraws; ++i) ++counts[rng.below(7)];
  const double expected = kDraws / 7.0;
  for (int count : counts) EXPECT_NEAR(count, expected, 5 * std::sqrt(expected));
}

TEST(Rng, NormalAndGammaHaveTheirMoments) {
  Rng rng(2, Purpose::test);
  constexpr int kDraws = 200'000;
  double sum = 0, squares = 0, gamma_sum = 0, small_gamma_sum = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double x = rng.normal();
    sum += x;
    squares += x * x;
    gamma_sum += rng.gamma(3.0);
    small_gamma_sum += rng.gamma(0.3);
  }
  EXPECT_NEAR(sum / kDraws, 0.0, 5 / std::sqrt(kDraws));
  EXPECT_NEAR(squares / kDraws, 1.0, 5 * std::sqrt(2.0 / kDraws));
  EXPECT_NEAR(gamma_sum / kDraws, 3.0, 5 * std::sqrt(3.0 / kDraws));
  EXPECT_NEAR(small_gamma_sum / kDraws, 0.3, 5 * std::sqrt(0.3 / kDraws));
}

}  // namespace
}  // namespace gossamer
