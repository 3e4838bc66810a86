// TernGrad's mean with a scaler that all ranks share, among any number of them.
#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <set>

#include "core/error.h"
#include "tests/client/mean_ring.h"

namespace gossamer {
namespace {

using namespace mean_ring;

const Keys kShared{{"compression.up", "terngrad"},
                   {"compression.all_reduce", "shared_scaler"},
                   {"compression.terngrad.clip", "0"}};

// The largest share of the mean that any of these tensor's values is.
float unit_of(const std::vector<FloatBuffer>& vectors, const std::vector<float>& weights, std::size_t begin,
              std::size_t size) {
  float total = 0, unit = 0;
  for (const float weight : weights) total += weight;
  for (std::size_t rank = 0; rank < vectors.size(); ++rank) {
    for (std::size_t i = begin; i < begin + size; ++i)
      unit = std::max(unit, weights[rank] / total * std::abs(vectors[rank][i]));
  }
  return unit;
}

TEST(SharedScalerMean, IsASumOfWholeNumbersInOneUnitATensor) {
  for (const char* topology : {"ring", "grouped_ring"}) {
    for (std::size_t ranks = 2; ranks <= 9; ++ranks) {
      const auto weights = weights_of(ranks);
      Ring ring(kShared + Keys{{"topology.name", topology}}, weights);
      const auto vectors = random_updates(ranks, ranks);
      const FloatBuffer mean = ring.mean_of(vectors, 1), exact = exact_mean(vectors, weights);
      for (const auto& [begin, size] : {std::pair(0UL, 600UL), std::pair(600UL, 400UL)}) {
        const float unit = unit_of(vectors, weights, begin, size);
        std::set<int> seen;
        for (std::size_t i = begin; i < begin + size; ++i) {
          const float number = mean[i] / unit;
          ASSERT_NEAR(number, std::round(number), 1e-4) << ranks << ' ' << i;
          ASSERT_LE(std::abs(number), static_cast<float>(ranks) + 1e-3F);
          seen.insert(static_cast<int>(std::lround(number)));
        }
        EXPECT_GE(seen.size(), 3u);
      }
      // The buffer travels as it is.
      for (std::size_t i = 1000; i < kUpdateFloats; ++i) EXPECT_NEAR(mean[i], exact[i], 1e-6);
    }
  }
}

// Each number's variance is at most its probability; that of their sum at most the sum's.
TEST(SharedScalerMean, IsRightInTheMean) {
  constexpr std::size_t kRanks = 5;
  constexpr Round kRounds = 4000;
  const auto weights = weights_of(kRanks);
  Ring ring(kShared, weights);
  const auto vectors = random_updates(kRanks, 4);
  const FloatBuffer exact = exact_mean(vectors, weights);
  std::vector<double> sum(kUpdateFloats);
  for (Round round = 1; round <= kRounds; ++round) {
    const FloatBuffer mean = ring.mean_of(vectors, round);
    for (std::size_t i = 0; i < kUpdateFloats; ++i) sum[i] += mean[i];
  }
  float total = 0;
  for (const float weight : weights) total += weight;
  double worst = 0;
  for (std::size_t i = 0; i < 1000; ++i) {
    const double unit = i < 600 ? unit_of(vectors, weights, 0, 600) : unit_of(vectors, weights, 600, 400);
    double likely = 0;  // sum of the ranks' probabilities
    for (std::size_t rank = 0; rank < kRanks; ++rank)
      likely += weights[rank] / total * std::abs(vectors[rank][i]) / unit;
    const double deviation = unit * std::sqrt(likely / kRounds);
    worst = std::max(worst, std::abs(sum[i] / kRounds - exact[i]) / deviation);
  }
  EXPECT_LT(worst, 5);  // of a thousand
}

TEST(SharedScalerMean, KnowsWhatItSends) {
  for (std::size_t ranks = 2; ranks <= 9; ++ranks) {
    for (const char* topology : {"ring", "grouped_ring"}) {
      Ring ring(kShared + Keys{{"topology.name", topology}}, weights_of(ranks));
      EXPECT_EQ(ring.cost().form, MeanForm::shared_scaler);
      ring.mean_of(random_updates(ranks, 1), 1);
      EXPECT_TRUE(ring.cost().known);
      EXPECT_EQ(ring.bytes(), ring.cost().bytes) << ranks << ' ' << topology;
    }
  }
}

TEST(SharedScalerMean, ClipsBeforeItAgrees) {
  auto vectors = random_updates(3, 2);
  vectors[1][5] = 1000;
  Ring clipped(kShared + Keys{{"compression.terngrad.clip", "2.5"}}, {1, 1, 1});
  // 600 values of deviation 1, and one that makes it 41.
  const FloatBuffer mean = clipped.mean_of(vectors, 1);
  float largest = 0;
  for (std::size_t i = 0; i < 600; ++i) largest = std::max(largest, std::abs(mean[i]));
  EXPECT_NEAR(largest, 2.5 * 40.8 / 3, 1.5);
}

TEST(SharedScalerMean, NothingToAddIsNoMean) {
  Ring nobody(kShared, {0, 0, 0});
  for (const float x : nobody.mean_of(random_updates(3, 1), 1)) ASSERT_EQ(x, 0);
  Ring zeros(kShared, {1, 2, 3});
  const std::vector<FloatBuffer> none(3, FloatBuffer(kUpdateFloats, 0.0F));
  for (const float x : zeros.mean_of(none, 1)) ASSERT_EQ(x, 0);
  Ring one_of_three(kShared, {0, 2, 0});
  const auto vectors = random_updates(3, 1);
  const FloatBuffer mean = one_of_three.mean_of(vectors, 1);
  for (std::size_t i = 1000; i < kUpdateFloats; ++i) EXPECT_EQ(mean[i], vectors[1][i]);
  EXPECT_TRUE(one_of_three.leftovers(0).empty());
}

TEST(SharedScalerMean, NamesTheTensorOfANaN) {
  for (const auto& [at, name] : {std::pair(7UL, "first"), {999UL, "second"}, {1001UL, "running"}}) {
    Ring ring(kShared, {1, 1});
    auto vectors = random_updates(2, 1);
    vectors[0][at] = std::numeric_limits<float>::quiet_NaN();
    try {
      ring.rank(0).begin(vectors[0], 1, {1});
      ADD_FAILURE() << name;
    } catch (const RunError& error) {
      EXPECT_THAT(error.what(), ::testing::StartsWith(std::string(name) + ": "));
    }
  }
}

TEST(SharedScalerMean, IsRefusedWhereNothingIsToShare) {
  EXPECT_THROW(Ring(kShared + Keys{{"compression.up", "qsgd"}}, weights_of(4)), ConfigError);
  EXPECT_THROW(Ring(kShared + Keys{{"topology.name", "all_to_all"}}, weights_of(4)), ConfigError);
  EXPECT_THROW(Ring(kShared + Keys{{"compression.error_feedback", "on"}}, weights_of(4)), ConfigError);
  EXPECT_EQ(Ring({{"compression.up", "terngrad"}}, weights_of(4)).cost().form, MeanForm::reduce_scatter);
}

// The stage in which rank 0 first sends what `change` is made to, and rank 1's answer to it.
Result<std::monostate> answer_to(std::size_t stage, const std::function<void(ByteBuffer&)>& change) {
  constexpr std::size_t kRanks = 3;
  Ring ring(kShared, std::vector<float>(kRanks, 1));
  auto vectors = random_updates(kRanks, 1);
  for (std::size_t rank = 0; rank < kRanks; ++rank) ring.rank(rank).begin(vectors[rank], 1, {1});
  for (std::size_t at = 0;; ++at) {
    std::vector<SharedBytes> sent;
    for (std::size_t rank = 0; rank < kRanks; ++rank)
      sent.push_back(ring.rank(rank).outgoing(at, ring.rank(rank).routes().stages[at].sends[0]));
    for (std::size_t rank = 0; rank < kRanks; ++rank) {
      const std::size_t receiver = (rank + 1) % kRanks;
      ByteBuffer bytes(sent[rank].bytes.begin(), sent[rank].bytes.end());
      const bool is_changed = at == stage && rank == 0;
      if (is_changed) change(bytes);
      const Receive& receive = ring.rank(receiver).routes().stages[at].receives[0];
      auto taken = ring.rank(receiver).take(at, receive, SharedBytes::of(std::move(bytes)));
      if (is_changed) return taken;
      if (!taken) return taken;
    }
  }
}

TEST(SharedScalerMean, WhatIsMalformedIsAFault) {
  const auto nothing = [](ByteBuffer&) {};
  const auto with_float = [](float value, std::size_t at) {
    return [=](ByteBuffer& bytes) { std::memcpy(bytes.data() + at, &value, sizeof value); };
  };
  const auto with_summands = [](std::uint32_t value) {
    return [=](ByteBuffer& bytes) { std::memcpy(bytes.data(), &value, sizeof value); };
  };
  // Two stages about scalers, two that add, two that pass on.
  for (std::size_t stage = 0; stage < 6; ++stage) {
    EXPECT_TRUE(answer_to(stage, nothing).ok()) << stage;
    EXPECT_FALSE(answer_to(stage, [](ByteBuffer& bytes) { bytes.pop_back(); }).ok()) << stage;
    EXPECT_FALSE(answer_to(stage, [](ByteBuffer& bytes) { bytes.push_back(std::byte{0}); }).ok()) << stage;
    EXPECT_FALSE(answer_to(stage, [](ByteBuffer& bytes) { bytes.clear(); }).ok()) << stage;
  }
  for (const std::size_t at : {0UL, 4UL, 8UL}) {
    EXPECT_FALSE(answer_to(0, with_float(-1, at)).ok());
    EXPECT_FALSE(answer_to(1, with_float(std::nanf(""), at)).ok());
  }
  for (const std::uint32_t summands : {0U, 2U, 4U, 0xFFFFFFFFU}) {
    EXPECT_FALSE(answer_to(2, with_summands(summands)).ok()) << summands;
    EXPECT_FALSE(answer_to(4, with_summands(summands)).ok()) << summands;
  }
  // The first chunk has the buffer's three floats, and after them the numbers.
  EXPECT_FALSE(answer_to(2, with_float(std::numeric_limits<float>::infinity(), 4)).ok());
  EXPECT_FALSE(answer_to(2, [](ByteBuffer& bytes) { bytes.back() = std::byte{0xFF}; }).ok());
  EXPECT_FALSE(answer_to(5, [](ByteBuffer& bytes) { bytes.back() = std::byte{0xFF}; }).ok());
}

}  // namespace
}  // namespace gossamer
