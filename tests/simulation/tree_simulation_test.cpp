// Trees on a virtual clock: the parameter server's model, every link's bytes and time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

const Keys kForest{{"data.clients", "8"}, {"run.rounds", "4"}, {"run.eval_every", "4"}};
const Keys kTree{{"topology.name", "tree"}};

constexpr std::uint64_t kHeader = kFrameHeaderBytes, kReport = sizeof(SubtreeReport);

// The largest difference of two models, of the larger one's largest value.
double distance(const FloatBuffer& one, const FloatBuffer& other) {
  EXPECT_EQ(one.size(), other.size());
  double largest = 0, apart = 0;
  for (std::size_t i = 0; i < std::min(one.size(), other.size()); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(one[i])));
    apart = std::max(apart, std::abs(static_cast<double>(one[i]) - static_cast<double>(other[i])));
  }
  return apart / largest;
}

TEST(SimulatedTree, InLockstepIsTheParameterServerUpToRounding) {
  const Keys keys = kForest + Keys{{"data.partition", "quantity_skew"}, {"server.optimizer", "momentum"}};
  const Outcome flat = simulate(keys, 2);
  for (const char* fanout : {"3", "2,2"}) {
    const Outcome tree = simulate(keys + kTree + Keys{{"topology.tree.fanout", fanout}}, 2);
    EXPECT_LT(distance(tree.model, flat.model), 1e-6) << fanout;
    ASSERT_EQ(tree.rounds.size(), 4U);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(tree.rounds[i].clients, 8);
      EXPECT_EQ(tree.rounds[i].samples, flat.rounds[i].samples);
      EXPECT_NEAR(tree.rounds[i].train_loss, flat.rounds[i].train_loss, 1e-5);
    }
  }
}

TEST(SimulatedTree, CountsEveryLink) {
  const Outcome tree = simulate(kForest + kTree + Keys{{"topology.tree.fanout", "2,2"}}, 2);
  const std::uint64_t model = kHeader + tree.model.size() * sizeof(float);
  for (const RoundMetrics& round : tree.rounds) {
    EXPECT_EQ(round.bytes_down, (8 + 6) * model);
    EXPECT_EQ(round.bytes_up, (8 + 6) * model + 6 * kReport);
  }
}

TEST(SimulatedTree, EveryLineIsSharedByThoseBelow) {
  const Outcome tree = simulate(Keys{{"data.clients", "4"},
                                     {"run.rounds", "1"},
                                     {"topology.tree.fanout", "2"},
                                     {"devices.speed", "100"},
                                     {"network.down_mbps", "1e9"},
                                     {"network.up_mbps", "1e9"},
                                     {"network.latency_ms", "250"},
                                     {"network.server_mbps", "8"}} +
                                    kTree,
                                2);
  const double frame = static_cast<double>(kHeader + tree.model.size() * sizeof(float)) / 1e6;
  // The second aggregator's model leaves the root second, and its second client's model leaves it second. On
  // the way up each comes when the line is free, but that the first aggregator's update is longer by its
  // report.
  const double way_down = 2 * frame + 0.25 + 2 * frame + 0.25;
  const double way_up = frame + 0.25 + frame + 2 * static_cast<double>(kReport) / 1e6 + 0.25;
  EXPECT_NEAR(tree.rounds.at(0).time_s, way_down + 60.0 / 100 + way_up, 1e-6);
}

TEST(SimulatedTree, ThreadsChangeNothing) {
  for (const char* mode : {"bsp", "ssp", "async"}) {
    const Keys keys =
        kForest + kTree +
        Keys{{"sync.mode", mode}, {"topology.tree.sync", "async"}, {"devices.distribution", "exponential"}};
    expect_same(simulate(keys, 1), simulate(keys, 3), mode);
  }
}

// Links of 1 Mbit/s and 10 ms, and training that takes no time to speak of: a round is a way down and up over
// two links.
TEST(SimulatedTree, EveryLinkTakesItsTime) {
  const Outcome tree = simulate(kForest + kTree +
                                    Keys{{"network.up_mbps", "1"},
                                         {"network.down_mbps", "1"},
                                         {"network.latency_ms", "10"},
                                         {"devices.speed", "1e12"}},
                                2);
  const double model = static_cast<double>(kHeader + tree.model.size() * sizeof(float));
  const double link = model * 8 / 1e6 + 0.01;
  EXPECT_NEAR(tree.rounds[0].time_s, 4 * link + static_cast<double>(kReport) * 8 / 1e6, 1e-6);
}

// Sites far apart: the upper links are slower than those of the clients.
TEST(SimulatedTree, UpperLinksHaveARateAndALatencyOfTheirOwn) {
  const Outcome tree = simulate(kForest + kTree +
                                    Keys{{"network.up_mbps", "1"},
                                         {"network.down_mbps", "1"},
                                         {"network.latency_ms", "10"},
                                         {"network.upper_mbps", "0.25"},
                                         {"network.upper_latency_ms", "80"},
                                         {"devices.speed", "1e12"}},
                                2);
  const double model = static_cast<double>(kHeader + tree.model.size() * sizeof(float));
  const double lower = model * 8 / 1e6 + 0.01;
  const double upper = model * 8 / 0.25e6 + 0.08;
  EXPECT_NEAR(tree.rounds[0].time_s, 2 * (lower + upper) + static_cast<double>(kReport) * 8 / 0.25e6, 1e-6);
}

// What Gaia is for: a round takes as long as the slow links, and these carry what is significant alone.
TEST(SimulatedTree, GaiaSavesTimeOnSlowUpperLinks) {
  const Keys keys =
      kForest + kTree +
      Keys{{"network.upper_mbps", "0.1"}, {"network.latency_ms", "0"}, {"devices.speed", "1e12"}};
  const Outcome all = simulate(keys, 2);
  const Outcome filtered =
      simulate(keys + Keys{{"topology.tree.filter", "gaia"}, {"topology.tree.filter.threshold", "3"}}, 2);
  // The two aggregators' updates travel at the same time.
  double saved = 0;
  for (std::size_t i = 0; i < all.rounds.size(); ++i)
    saved += static_cast<double>(all.rounds[i].bytes_up - filtered.rounds[i].bytes_up) / 2 * 8 / 0.1e6;
  EXPECT_GT(saved, 0);
  const double faster = all.rounds.back().time_s - filtered.rounds.back().time_s;
  // The slower of the two counts in each round, so a little less than the mean of both is saved.
  EXPECT_LE(faster, saved);
  EXPECT_GE(faster, 0.8 * saved);
}

TEST(SimulatedTree, GaiaWithoutAThresholdSendsEverything) {
  const Keys keys = kForest + kTree;
  const Outcome all = simulate(keys, 2);
  const Outcome filtered =
      simulate(keys + Keys{{"topology.tree.filter", "gaia"}, {"topology.tree.filter.threshold", "0"}}, 2);
  EXPECT_LT(distance(all.model, filtered.model), 1e-6);
}

TEST(SimulatedTree, GaiaSavesBytesAndStillTrains) {
  const Keys keys = kForest + kTree + Keys{{"run.rounds", "20"}, {"run.eval_every", "20"}};
  const Outcome all = simulate(keys, 2);
  const Outcome filtered =
      simulate(keys + Keys{{"topology.tree.filter", "gaia"}, {"topology.tree.filter.threshold", "3"}}, 2);
  const auto up = [](const Outcome& outcome) {
    const std::uint64_t model = kHeader + outcome.model.size() * sizeof(float);
    std::uint64_t bytes = 0;  // of the upper links alone
    for (const RoundMetrics& round : outcome.rounds) bytes += round.bytes_up - 8 * model;
    return bytes;
  };
  EXPECT_LT(up(filtered), up(all) / 2);
  EXPECT_GT(*filtered.rounds.back().test_accuracy, *all.rounds.back().test_accuracy - 0.05);
}

TEST(SimulatedTree, AResumedRunGoesOnAsIfNothingHadHappened) {
  const TemporaryFolder whole, parts;
  const Keys keys = kForest + kTree + Keys{{"server.checkpoint_every", "1"}};
  const Outcome once = simulate_in(whole, keys, 2);
  simulate_in(parts, keys, 2, Lengths::known, 2);
  const Outcome resumed =
      simulate_in(parts, keys + Keys{{"run.resume", "true"}, {"run.overwrite", "false"}}, 2);
  EXPECT_EQ(resumed.model, once.model);
}

TEST(SimulatedTree, WhatCannotWorkIsRefused) {
  const auto said = [](const Keys& keys) {
    try {
      simulate(kForest + kTree + keys, 1);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(said({{"topology.tree.fanout", "9"}}), HasSubstr("topology.tree.fanout"));
  EXPECT_THAT(said({{"topology.tree.sync", "bsp,bsp"}}), HasSubstr("topology.tree.sync"));
  EXPECT_THAT(said({{"cohort.size", "3"}, {"cohort.fraction", "0.1"}}), HasSubstr("cohort.size"));
  EXPECT_THAT(said({{"cohort.deadline_s", "3"}}), HasSubstr("cohort.deadline_s"));
  EXPECT_THAT(said({{"sync.backup_workers", "1"}}), HasSubstr("sync.backup_workers"));
  EXPECT_THAT(said({{"topology.tree.sync", "ssp"}, {"run.resume", "true"}, {"run.overwrite", "false"}}),
              HasSubstr("run.resume"));
  EXPECT_THAT(said({{"topology.tree.filter.threshold", "1"}}), HasSubstr("topology.tree.filter = gaia"));
  EXPECT_THAT(said({{"topology.name", "parameter_server"}, {"topology.tree.filter", "gaia"}}),
              HasSubstr("only used with topology.name = tree"));
}

}  // namespace
}  // namespace gossamer
