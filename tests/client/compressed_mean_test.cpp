// Means of updates that travel compressed, among any number of ranks, in both forms.
#include "client/compressed_mean.h"

#include <gmock/gmock.h>

#include <cmath>

#include "core/error.h"
#include "tests/client/mean_ring.h"

namespace gossamer {
namespace {

using namespace mean_ring;

const Keys kLossless{
    {"compression.up", "top_k"}, {"compression.top_k.density", "1"}, {"compression.error_feedback", "off"}};
TEST(CompressedMean, WhatLosesNothingGivesTheMean) {
  for (const char* form : {"gather", "reduce_scatter"}) {
    for (std::size_t ranks = 2; ranks <= 9; ++ranks) {
      const auto weights = weights_of(ranks);
      Ring ring(kLossless + Keys{{"compression.all_reduce", form}}, weights);
      const auto vectors = random_updates(ranks, ranks);
      const FloatBuffer mean = ring.mean_of(vectors, 1), exact = exact_mean(vectors, weights);
      for (std::size_t i = 0; i < kUpdateFloats; ++i)
        ASSERT_NEAR(mean[i], exact[i], 2e-6) << form << ' ' << ranks;
    }
  }
}

const Keys kGrouped{{"topology.name", "grouped_ring"}};

TEST(CompressedMean, WhatLosesNothingGivesTheMeanInGroups) {
  for (const char* form : {"gather", "reduce_scatter"}) {
    for (const auto& [ranks, groups] : {std::pair(2, 2), std::pair(4, 2), std::pair(6, 3), std::pair(8, 2)}) {
      const auto count = static_cast<std::size_t>(ranks);
      const auto weights = weights_of(count);
      Ring rings(kLossless + kGrouped +
                     Keys{{"compression.all_reduce", form},
                          {"topology.grouped_ring.groups", std::to_string(groups)}},
                 weights);
      EXPECT_EQ(rings.cost().form == MeanForm::reduce_scatter, form == std::string("reduce_scatter"));
      const auto vectors = random_updates(count, count);
      const FloatBuffer mean = rings.mean_of(vectors, 1), exact = exact_mean(vectors, weights);
      for (std::size_t i = 0; i < kUpdateFloats; ++i)
        ASSERT_NEAR(mean[i], exact[i], 2e-6) << form << ' ' << ranks;
      EXPECT_TRUE(rings.leftovers(0).empty());
    }
  }
}

// A chunk is compressed again with every step of its way, of which there are fewer in groups.
TEST(CompressedMean, GroupsLoseLessThanOneLongRing) {
  const auto error_of = [](const Keys& topology) {
    const Keys keys{{"compression.up", "qsgd"},
                    {"compression.all_reduce", "reduce_scatter"},
                    {"compression.min_size", "0"}};
    double error = 0;
    for (Round round = 1; round <= 10; ++round) {
      Ring rings(keys + topology, std::vector<float>(16, 1));
      const auto vectors = random_updates(16, static_cast<std::uint64_t>(round));
      const FloatBuffer exact = exact_mean(vectors, std::vector<float>(16, 1));
      const FloatBuffer mean = rings.mean_of(vectors, round);
      for (std::size_t i = 0; i < 1000; ++i) error += std::pow(mean[i] - exact[i], 2);
    }
    return error;
  };
  EXPECT_LT(error_of(kGrouped), error_of({{"topology.name", "ring"}}));
}

TEST(CompressedMean, EveryMethodEndsAlikeEverywhereAndNotFarOff) {
  for (const char* form : {"gather", "reduce_scatter"}) {
    for (const char* method : {"fp16", "bf16", "int8", "qsgd"}) {
      const auto weights = weights_of(4);
      Ring ring({{"compression.up", method}, {"compression.all_reduce", form}}, weights);
      const auto vectors = random_updates(4, 3);
      const FloatBuffer mean = ring.mean_of(vectors, 1), exact = exact_mean(vectors, weights);
      double error = 0, size = 0;
      for (std::size_t i = 0; i < kUpdateFloats; ++i) {
        error += std::pow(mean[i] - exact[i], 2);
        size += std::pow(exact[i], 2);
      }
      EXPECT_LT(error, 0.1 * size) << form << ' ' << method;
      // What travels as it is: here the buffer.
      for (std::size_t i = 1000; i < kUpdateFloats; ++i) EXPECT_NEAR(mean[i], exact[i], 1e-6);
    }
  }
}

// With equal weights what was left out of a mean of h of p ranks is h / p of it missing in the whole. Who was
// how far along with a chunk follows from the ring: chunk c is begun by rank c.
TEST(CompressedMean, WhatIsLeftOutIsWhatIsMissing) {
  constexpr std::size_t kRanks = 4;
  for (const char* method : {"one_bit", "top_k"}) {
    for (const bool scatter : {false, true}) {
      Ring ring({{"compression.up", method},
                 {"compression.all_reduce", scatter ? "reduce_scatter" : "gather"},
                 {"compression.min_size", "0"}},
                std::vector<float>(kRanks, 5));
      std::vector<double> missing(kUpdateFloats);
      for (Round round = 1; round <= 15; ++round) {
        const auto vectors = random_updates(kRanks, static_cast<std::uint64_t>(round));
        const FloatBuffer exact = exact_mean(vectors, std::vector<float>(kRanks, 5));
        const FloatBuffer mean = ring.mean_of(vectors, round);
        for (std::size_t i = 0; i < kUpdateFloats; ++i) missing[i] += exact[i] - mean[i];
      }
      const ShardPlan chunks(layout(), scatter ? kRanks : 1);
      for (std::size_t rank = 0; rank < kRanks; ++rank) {
        const FloatBuffer left = ring.leftovers(rank);
        // The buffer travels as it is and leaves nothing.
        ASSERT_EQ(left.size(), kUpdateFloats - 3);
        for (std::size_t chunk = 0; chunk < chunks.shards(); ++chunk) {
          const double share =
              scatter ? static_cast<double>((rank + kRanks - chunk) % kRanks + 1) / kRanks : 1.0 / kRanks;
          const auto range = chunks.range(chunk);
          for (std::size_t i = range.begin; i < std::min(left.size(), range.begin + range.size); ++i)
            missing[i] -= share * left[i];
        }
      }
      for (std::size_t i = 0; i < kUpdateFloats; ++i) ASSERT_NEAR(missing[i], 0, 2e-4) << method << ' ' << i;
    }
  }
}

TEST(CompressedMean, TakesTheCheaperFormAndKnowsWhatItSends) {
  for (std::size_t ranks = 2; ranks <= 6; ++ranks) {
    for (const char* form : {"auto", "gather", "reduce_scatter"}) {
      for (const char* topology : {"ring", "grouped_ring"}) {
        Ring ring({{"topology.name", topology}, {"compression.up", "int8"}, {"compression.all_reduce", form}},
                  weights_of(ranks));
        ring.mean_of(random_updates(ranks, 1), 1);
        EXPECT_TRUE(ring.cost().known);
        EXPECT_EQ(ring.bytes(), ring.cost().bytes) << ranks << ' ' << form;
        if (form == std::string("auto")) {
          EXPECT_EQ(ring.cost().form == MeanForm::reduce_scatter, ranks > 2) << ranks;
        }
      }
    }
  }
  EXPECT_EQ(Ring({{"topology.name", "all_to_all"}, {"compression.up", "int8"}}, weights_of(4)).cost().form,
            MeanForm::gather);
  EXPECT_THROW(Ring({{"topology.name", "all_to_all"},
                     {"compression.up", "int8"},
                     {"compression.all_reduce", "reduce_scatter"}},
                    weights_of(4)),
               ConfigError);
}

// Momentum belongs to one peer's updates: it is not applied again to the mean of several at every hop.
TEST(CompressedMean, WhatKeepsMomentumIsGathered) {
  EXPECT_EQ(Ring({{"compression.up", "top_k"}}, weights_of(4)).cost().form, MeanForm::reduce_scatter);
  EXPECT_EQ(Ring({{"compression.up", "dgc"}}, weights_of(4)).cost().form, MeanForm::gather);
  EXPECT_EQ(Ring({{"compression.up", "adacomp"}}, weights_of(4)).cost().form, MeanForm::gather);
  EXPECT_THROW(Ring({{"compression.up", "dgc"}, {"compression.all_reduce", "reduce_scatter"}}, weights_of(4)),
               ConfigError);
}

TEST(CompressedMean, GoesOnWithWhatItHadLeftOut) {
  for (const char* form : {"gather", "reduce_scatter"}) {
    const Keys keys{{"compression.up", "top_k"}, {"compression.all_reduce", form}};
    Ring first(keys, weights_of(3)), second(keys, weights_of(3));
    first.mean_of(random_updates(3, 1), 1);
    for (std::size_t rank = 0; rank < 3; ++rank) {
      const SharedFloats both = first.rank(rank).with_leftovers(FloatBuffer(kUpdateFloats, 0.0F));
      ASSERT_TRUE(second.rank(rank).restore_leftovers(both.values).ok());
      EXPECT_FALSE(second.rank(rank).restore_leftovers(both.values.first(kUpdateFloats + 1)).ok());
    }
    EXPECT_EQ(second.mean_of(random_updates(3, 2), 2), first.mean_of(random_updates(3, 2), 2));
  }
}

TEST(CompressedMean, NobodyWithExamplesIsNoMean) {
  for (const char* form : {"gather", "reduce_scatter"}) {
    Ring ring({{"compression.up", "int8"}, {"compression.all_reduce", form}}, {0, 0, 0});
    for (const float x : ring.mean_of(random_updates(3, 1), 1)) ASSERT_TRUE(std::isfinite(x));
  }
}

TEST(CompressedMean, WhatIsMalformedIsAFault) {
  for (const char* form : {"gather", "reduce_scatter"}) {
    const Keys keys{{"compression.up", "int8"}, {"compression.all_reduce", form}};
    const auto fault_after = [&](const std::function<void(ByteBuffer&)>& change) {
      Ring ring(keys, {1, 1, 1});
      auto vectors = random_updates(2, 1);
      for (std::size_t rank = 0; rank < 2; ++rank) ring.rank(rank).begin(vectors[rank], 1, {1});
      const SharedBytes sent = ring.rank(0).outgoing(0, ring.rank(0).routes().stages[0].sends[0]);
      ByteBuffer bytes(sent.bytes.begin(), sent.bytes.end());
      change(bytes);
      CompressedMean& receiver = ring.rank(1);
      auto taken =
          receiver.take(0, receiver.routes().stages[0].receives[0], SharedBytes::of(std::move(bytes)));
      if (taken) taken = receiver.finish();
      return !taken.ok();
    };
    EXPECT_TRUE(fault_after([](ByteBuffer& bytes) { bytes.resize(3); }));
    EXPECT_TRUE(fault_after([](ByteBuffer& bytes) { bytes.pop_back(); }));
    EXPECT_TRUE(fault_after([](ByteBuffer& bytes) {
      const float weight = std::nanf("");
      std::memcpy(bytes.data(), &weight, sizeof weight);
    }));
    EXPECT_TRUE(fault_after([](ByteBuffer& bytes) {
      const float weight = -1;
      std::memcpy(bytes.data(), &weight, sizeof weight);
    }));
  }
}

}  // namespace
}  // namespace gossamer
