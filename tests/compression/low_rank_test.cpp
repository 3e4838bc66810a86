// Structured updates: one factor and a seed, and a mask.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compression/methods.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

std::unique_ptr<Method> low_rank(const std::string& feedback, std::vector<std::int64_t> shape) {
  return make_low_rank(options_with({{"compression.up", "low_rank"},
                                     {"compression.low_rank.rank", "3"},
                                     {"compression.error_feedback", feedback}}),
                       shape);
}

TEST(LowRank, SendsASeedAndOneFactor) {
  const FloatBuffer m = normal_floats(20 * 5001);
  const auto method = low_rank("off", {20, 3, 1667});
  EXPECT_EQ(method->most_bytes(m.size()), 8 + 4 * 3 * 5001U);
  // Every row is one of three, or its negative, which are sums of the rows with that sign; each of six or
  // seven rows.
  const FloatBuffer got = through(*method, m);
  const auto row = [](const FloatBuffer& of, std::size_t i) { return std::span(of).subspan(i * 5001, 5001); };
  for (std::size_t i = 0; i < 20; ++i) {
    std::vector<double> wanted(5001);
    std::size_t rows = 0;
    for (std::size_t j = 0; j < 20; ++j) {
      const float sign = row(got, i)[0] / row(got, j)[0];
      if (sign != 1 && sign != -1) continue;
      ++rows;
      for (std::size_t c = 0; c < wanted.size(); ++c) wanted[c] += static_cast<double>(sign * row(m, j)[c]);
    }
    EXPECT_TRUE(rows == 6 || rows == 7) << rows;
    for (std::size_t c = 0; c < wanted.size(); ++c) ASSERT_NEAR(row(got, i)[c], wanted[c], 1e-4);
  }
}

TEST(LowRank, WithErrorFeedbackIsAnOrthogonalProjection) {
  const FloatBuffer m = normal_floats(40 * 50);
  const auto method = low_rank("auto", {40, 50});
  for (std::uint64_t key = 1; key < 10; ++key) {
    const FloatBuffer once = through(*method, m, key), twice = through(*method, once, key);
    EXPECT_LE(distance(once, twice), 1e-5 * std::sqrt(squares(once)));
    // By Pythagoras what is left out is orthogonal to what is sent.
    const double left = distance(once, m);
    EXPECT_NEAR(squares(once) + left * left, squares(m), 1e-5 * squares(m));
    EXPECT_NEAR(squares(once) / squares(m), 3.0 / 40, 0.05);
  }
}

TEST(LowRank, ErrorFeedbackSendsEverythingInTheEnd) {
  const auto method = make_error_feedback(low_rank("on", {12, 30}));
  const FloatBuffer m = normal_floats(360), zeros(360, 0.0F);
  FloatBuffer residual(360, 0.0F);
  FloatBuffer sent = decoded(*method, encoded(*method, m, residual, 1), 360);
  for (std::uint64_t step = 2; step < 120; ++step)
    method->add(encoded(*method, zeros, residual, step * 977), 1, sent);
  EXPECT_LT(distance(sent, m), 1e-4 * std::sqrt(squares(m)));
}

TEST(LowRank, VectorsAndSmallMatricesTravelAsTheyAre) {
  const FloatBuffer values = normal_floats(30);
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{30}, {}, {1, 30}, {3, 10}, {15, 2, 2}})
    EXPECT_EQ(through(*low_rank("off", shape), values), values);
}

TEST(LowRank, OfTheLargestFloatsNothingOverflows) {
  for (const std::string feedback : {"on", "off"}) {
    const auto method = low_rank(feedback, {40, 50});
    const FloatBuffer m(2000, std::numeric_limits<float>::max());
    for (const float x : through(*method, m)) ASSERT_TRUE(std::isfinite(x));
  }
}

TEST(RandomMask, IsTheVectorRestrictedToTheMask) {
  constexpr std::size_t kLength = 2000, kKept = 140;
  const auto method = make_random_mask(
      options_with({{"compression.up", "random_mask"}, {"compression.random_mask.density", "0.07"}}));
  const FloatBuffer values = normal_floats(kLength);
  // The seed and the values travel, and nothing else.
  EXPECT_EQ(method->most_bytes(kLength), sizeof(std::uint64_t) + kKept * sizeof(float));
  for (std::uint64_t key = 1; key < 20; ++key) {
    const FloatBuffer mask = through(*method, FloatBuffer(kLength, 1.0F), key);
    const FloatBuffer got = through(*method, values, key);
    EXPECT_EQ(std::ranges::count(mask, 1.0F), static_cast<std::ptrdiff_t>(kKept));
    for (std::size_t i = 0; i < kLength; ++i) ASSERT_EQ(got[i], mask[i] == 1 ? values[i] : 0) << i;
  }
}

}  // namespace
}  // namespace gossamer
