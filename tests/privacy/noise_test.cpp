// Noise against the distributions that it is said to have, from seeds, so that what holds once holds always.
#include "privacy/noise/noise.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <numbers>
#include <stdexcept>
#include <vector>

namespace gossamer {
namespace {

constexpr std::size_t kDraws = 1'000'000;

std::vector<float> gaussian_draws(std::uint64_t seed, std::size_t n = kDraws, double deviation = 1) {
  std::vector<float> values(n, 0.0F);
  add_gaussian_noise(values, deviation, *make_insecure_noise_source(seed));
  return values;
}
std::vector<float> laplace_draws(std::uint64_t seed, std::size_t n = kDraws, double scale = 1) {
  std::vector<float> values(n, 0.0F);
  add_laplace_noise(values, scale, *make_insecure_noise_source(seed));
  return values;
}

double normal_distribution(double x) { return std::erfc(-x / std::numbers::sqrt2) / 2; }
double laplace_distribution(double x) { return x < 0 ? std::exp(x) / 2 : 1 - std::exp(-x) / 2; }

// Kolmogorov and Smirnov's statistic times sqrt(n): above 1.95 once in a thousand samples.
double kolmogorov_smirnov(std::vector<float> values, const std::function<double(double)>& distribution) {
  std::ranges::sort(values);
  const auto n = static_cast<double>(values.size());
  double most = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double p = distribution(static_cast<double>(values[i]));
    most = std::max({most, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
  }
  return most * std::sqrt(n);
}

double moment(std::span<const float> values, int power) {
  double sum = 0;
  for (const float x : values) sum += std::pow(static_cast<double>(x), power);
  return sum / static_cast<double>(values.size());
}

// Of f(x[i]) and f(x[i + lag]), times sqrt(n): about standard normal where there is none.
double correlation(std::span<const float> values, std::size_t lag, bool squared) {
  double sum = 0, squares = 0;
  const auto f = [&](std::size_t i) {
    const auto x = static_cast<double>(values[i]);
    return squared ? x * x - 1 : x;
  };
  for (std::size_t i = 0; i + lag < values.size(); ++i) {
    sum += f(i) * f(i + lag);
    squares += f(i) * f(i);
  }
  return sum / squares * std::sqrt(static_cast<double>(values.size()));
}

TEST(GaussianNoise, HasTheMomentsOfANormalDistribution) {
  const auto values = gaussian_draws(1);
  EXPECT_NEAR(moment(values, 1), 0, 4e-3);
  EXPECT_NEAR(moment(values, 2), 1, 6e-3);
  EXPECT_NEAR(moment(values, 3), 0, 16e-3);
  EXPECT_NEAR(moment(values, 4), 3, 40e-3);
}

TEST(GaussianNoise, HasTheDeviationThatWasAskedFor) {
  for (const double deviation : {1e-20, 0.37, 5.0, 1e10}) {
    const auto values = gaussian_draws(2, 100'000, deviation);
    double squares = 0;
    for (const float x : values)
      squares += static_cast<double>(x) * static_cast<double>(x) / (deviation * deviation);
    EXPECT_NEAR(std::sqrt(squares / 100'000), 1, 0.01) << deviation;
  }
}

TEST(GaussianNoise, FollowsTheNormalDistribution) {
  for (const std::uint64_t seed : {3U, 4U, 5U}) {
    EXPECT_LT(kolmogorov_smirnov(gaussian_draws(seed), normal_distribution), 1.95) << seed;
  }
}

// The test can tell: noise that is half a percent too small fails it.
TEST(GaussianNoise, OfAnotherDeviationWouldNotPass) {
  EXPECT_GT(kolmogorov_smirnov(gaussian_draws(3, kDraws, 0.99), normal_distribution), 1.95);
}

TEST(GaussianNoise, HasTheTailsOfANormalDistribution) {
  const auto values = gaussian_draws(6, 16 * kDraws);
  for (const double bound : {2.0, 3.0, 4.0, 5.0}) {
    for (const double sign : {-1.0, 1.0}) {
      const double expected = 16 * kDraws * normal_distribution(-bound);
      const auto found = static_cast<double>(
          std::ranges::count_if(values, [&](float x) { return sign * static_cast<double>(x) > bound; }));
      EXPECT_NEAR(found, expected, 4 * std::sqrt(expected)) << bound * sign;
    }
  }
}

TEST(GaussianNoise, ValuesAreIndependent) {
  const auto values = gaussian_draws(7);
  // Neighbours; the two of a pair; the same place of the next group, and of the next block.
  for (const std::size_t lag : {1U, 2U, 8U, 16U, 32U, 1024U}) {
    EXPECT_LT(std::abs(correlation(values, lag, false)), 4) << lag;
    EXPECT_LT(std::abs(correlation(values, lag, true)), 4) << lag;
  }
}

TEST(LaplaceNoise, FollowsTheLaplaceDistribution) {
  for (const std::uint64_t seed : {8U, 9U}) {
    const auto values = laplace_draws(seed);
    EXPECT_LT(kolmogorov_smirnov(values, laplace_distribution), 1.95) << seed;
    EXPECT_NEAR(moment(values, 1), 0, 6e-3);
    EXPECT_NEAR(moment(values, 2), 2, 20e-3);
    const auto far = std::ranges::count_if(values, [](float x) { return std::abs(x) > 8; });
    const double expected = kDraws * std::exp(-8.0);
    EXPECT_NEAR(static_cast<double>(far), expected, 4 * std::sqrt(expected));
  }
}

TEST(Noise, EverythingLiesOnTheGrid) {
  for (const double size : {0.003, 1.0, 1.999, 700.0}) {
    std::vector<float> gaussian(10'001), laplace;
    for (std::size_t i = 0; i < gaussian.size(); ++i) {
      gaussian[i] = static_cast<float>(size * std::sin(static_cast<double>(i * i)) * 3);
    }
    laplace = gaussian;
    const auto source = make_insecure_noise_source(10);
    add_gaussian_noise(gaussian, size, *source);
    add_laplace_noise(laplace, size, *source);
    EXPECT_LE(gaussian_noise_grid(size), size * 0x1p-19);
    EXPECT_GT(gaussian_noise_grid(size), size * 0x1p-20 * 0.999999);
    EXPECT_LE(laplace_noise_grid(size), size * 0x1p-17);
    for (std::size_t i = 0; i < gaussian.size(); ++i) {
      ASSERT_EQ(std::remainder(static_cast<double>(gaussian[i]), gaussian_noise_grid(size)), 0);
      ASSERT_EQ(std::remainder(static_cast<double>(laplace[i]), laplace_noise_grid(size)), 0);
    }
  }
}

// The same from the same random words in long doubles: every single grid point.
TEST(Noise, IsThatOfItsFormulasToTheLastBit) {
  constexpr std::size_t kBlock = 1024, kBlocks = 200;
  constexpr long double kHalfPi = std::numbers::pi_v<long double> / 2;
  const double deviation = 1.7, gaussian_units = deviation / gaussian_noise_grid(deviation),
               laplace_units = deviation / laplace_noise_grid(deviation);
  const auto gaussian = gaussian_draws(15, kBlock * kBlocks, deviation);
  const auto laplace = laplace_draws(15, kBlock * kBlocks, deviation);
  const auto minus_log = [](std::uint64_t w) {
    return -std::log((static_cast<long double>(w) + 0.5L) * 0x1p-64L);
  };
  const auto point = [](long double noise, double units, double grid) {
    return static_cast<float>(static_cast<double>(std::rint(noise * static_cast<long double>(units))) * grid);
  };
  const auto source = make_insecure_noise_source(15);
  std::vector<std::uint64_t> words(kBlock);
  for (std::size_t block = 0; block < kBlocks; ++block) {
    source->fill(std::as_writable_bytes(std::span(words)));
    for (std::size_t i = 0; i < kBlock; ++i) {
      const std::size_t at = block * kBlock + i;
      const long double magnitude = minus_log(words[i] & ~std::uint64_t{1});
      ASSERT_EQ(laplace[at], point((words[i] & 1U) != 0 ? -magnitude : magnitude, laplace_units,
                                   laplace_noise_grid(deviation)));
      if (i % 32 >= 16) continue;
      const std::uint64_t w = words[i + 16];
      const long double radius = std::sqrt(2 * minus_log(words[i]));
      const long double angle = (static_cast<long double>(w >> 12U) * 0x1p-52L - 0.5L) * kHalfPi;
      const long double side = (w & 2U) != 0 ? -radius : radius;
      const long double x = side * std::cos(angle), y = side * std::sin(angle);
      const bool swapped = (w & 1U) != 0;
      ASSERT_EQ(gaussian[at], point(swapped ? y : x, gaussian_units, gaussian_noise_grid(deviation)));
      ASSERT_EQ(gaussian[at + 16], point(swapped ? x : y, gaussian_units, gaussian_noise_grid(deviation)));
    }
  }
}

// All that the result knows of a value is the whole number of grid steps in it, towards zero.
TEST(Noise, DependsOnTheValueOnlyThroughItsWholeNumber) {
  const double grid = gaussian_noise_grid(1);
  const auto noised = [](float value) {
    std::vector<float> values(1000, value);
    add_gaussian_noise(values, 1, *make_insecure_noise_source(11));
    return values;
  };
  const auto zero = noised(0);
  EXPECT_EQ(noised(static_cast<float>(0.99 * grid)), zero);
  EXPECT_EQ(noised(static_cast<float>(-0.99 * grid)), zero);
  const auto seven = noised(static_cast<float>(7.5 * grid));
  for (std::size_t i = 0; i < zero.size(); ++i) {
    ASSERT_EQ(static_cast<double>(seven[i]), static_cast<double>(zero[i]) + 7 * grid);
    ASSERT_FALSE(zero[i] == 0 && std::signbit(zero[i]));
  }
}

TEST(Noise, IsTheSameOnEveryKindOfProcessor) {
  constexpr std::size_t kValues = 5000;
  std::vector<float> gaussian, laplace;
  int targets = 0;
  for (std::int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
    hwy::SetSupportedTargetsForTest(left & -left);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    const auto this_gaussian = gaussian_draws(12, kValues), this_laplace = laplace_draws(12, kValues);
    if (targets++ == 0) {
      gaussian = this_gaussian;
      laplace = this_laplace;
    }
    EXPECT_EQ(std::memcmp(this_gaussian.data(), gaussian.data(), kValues * sizeof(float)), 0) << left;
    EXPECT_EQ(std::memcmp(this_laplace.data(), laplace.data(), kValues * sizeof(float)), 0) << left;
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  EXPECT_GE(targets, 1);
}

TEST(Noise, ReachesEveryValueOfAnyLengthAndNoOther) {
  for (const std::size_t n : {0U, 1U, 31U, 32U, 33U, 1023U, 1024U, 1025U, 3000U}) {
    std::vector<float> values(n + 1, 1.0F);
    add_gaussian_noise(std::span(values).first(n), 1, *make_insecure_noise_source(13));
    EXPECT_EQ(values[n], 1.0F) << n;
    EXPECT_LE(std::ranges::count(values, 1.0F), 2) << n;
    add_laplace_noise(std::span(values).first(n), 1, *make_insecure_noise_source(13));
    EXPECT_EQ(values[n], 1.0F) << n;
  }
}

TEST(Noise, OfNoSizeIsNoneAndOfNoMeaningIsRefused) {
  std::vector<float> values(10, 0.1F);
  const auto source = make_insecure_noise_source(14);
  add_gaussian_noise(values, 0, *source);
  add_laplace_noise(values, 0, *source);
  EXPECT_EQ(values, std::vector<float>(10, 0.1F));
  for (const double size : {-1.0, std::nan(""), std::numeric_limits<double>::infinity(), 1e-30}) {
    EXPECT_THROW(add_gaussian_noise(values, size, *source), std::logic_error);
    EXPECT_THROW(add_laplace_noise(values, size, *source), std::logic_error);
  }
}

TEST(NoiseSource, SecureBytesNeverRepeat) {
  std::vector<std::uint64_t> words(300'000);
  const auto first = make_secure_noise_source(), second = make_secure_noise_source();
  first->fill(std::as_writable_bytes(std::span(words).first(100'000)));
  first->fill(std::as_writable_bytes(std::span(words).subspan(100'000, 100'000)));
  second->fill(std::as_writable_bytes(std::span(words).last(100'000)));
  std::ranges::sort(words);
  EXPECT_TRUE(std::ranges::adjacent_find(words) == words.end());  // by chance once in 4 * 10^8 runs
}

TEST(NoiseSource, SeededBytesAreThoseOfTheirNumbers) {
  const auto word = [](std::uint64_t seed, std::uint64_t client, std::uint64_t round) {
    std::uint64_t out = 0;
    make_insecure_noise_source(seed, client, round)->fill(std::as_writable_bytes(std::span(&out, 1)));
    return out;
  };
  EXPECT_EQ(word(1, 2, 3), word(1, 2, 3));
  std::vector<std::uint64_t> others{word(1, 2, 3), word(2, 2, 3), word(1, 3, 3), word(1, 2, 4),
                                    word(1, 3, 2)};
  std::ranges::sort(others);
  EXPECT_TRUE(std::ranges::adjacent_find(others) == others.end());
}

}  // namespace
}  // namespace gossamer
