// Servers in several shards on a virtual clock: the single server's model, every shard's bytes and line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

const Keys kFew{{"data.clients", "4"}, {"run.rounds", "6"}, {"run.eval_every", "3"}};
// So fast that a frame's header more or less changes no order.
const Keys kFastLinks{{"network.down_mbps", "1e9"}, {"network.up_mbps", "1e9"}};

Keys shards(int count) { return {{"server.shards", std::to_string(count)}}; }

TEST(SimulatedShards, InLockstepAreASingleServerButForTheirHeaders) {
  const Keys keys =
      kFew + Keys{{"server.optimizer", "adam"}, {"server.lr", "0.1"}, {"data.partition", "quantity_skew"}};
  const Outcome one = simulate(keys, 2);
  for (const int count : {2, 3, 4}) {
    const Outcome several = simulate(keys + shards(count), 2);
    EXPECT_EQ(several.model, one.model) << count;
    ASSERT_EQ(several.rounds.size(), one.rounds.size());
    for (std::size_t i = 0; i < one.rounds.size(); ++i) {
      const auto more = static_cast<std::uint64_t>(4 * (count - 1)) * kFrameHeaderBytes;
      EXPECT_EQ(several.rounds[i].bytes_up, one.rounds[i].bytes_up + more);
      EXPECT_EQ(several.rounds[i].bytes_down, one.rounds[i].bytes_down + more);
      EXPECT_EQ(several.rounds[i].test_accuracy, one.rounds[i].test_accuracy);
      EXPECT_EQ(several.rounds[i].train_loss, one.rounds[i].train_loss);
    }
  }
}

TEST(SimulatedShards, MakeTheSingleServersModelWithEveryModeAndAlgorithm) {
  const std::vector<Keys> ways{
      {{"sync.mode", "bsp"},
       {"cohort.fraction", "0.5"},
       {"sync.backup_workers", "1"},
       {"sync.late", "finish"}},
      {{"sync.mode", "bsp"},
       {"sync.backup_workers", "1"},
       {"cohort.fraction", "0.75"},
       {"devices.dropout", "0.2"}},
      {{"sync.mode", "ssp"}, {"sync.staleness", "1"}},
      {{"sync.mode", "async"}, {"sync.staleness_weight", "hinge"}, {"devices.dropout", "0.2"}},
      {{"sync.mode", "buffered"}, {"sync.buffer", "2"}},
      {{"algorithm.name", "easgd"}, {"client.local_steps", "4"}, {"client.lr", "0.01"}},
      {{"algorithm.name", "eamsgd"},
       {"sync.mode", "async"},
       {"client.local_steps", "4"},
       {"client.lr", "0.01"}},
      {{"algorithm.name", "downpour"}},
      {{"algorithm.name", "fedasync"}},
      {{"algorithm.name", "dc_asgd"}},
      {{"algorithm.name", "fedbuff"}, {"sync.buffer", "3"}},
  };
  for (const Keys& way : ways) {
    const Keys keys = kFew + kFastLinks + Keys{{"devices.distribution", "exponential"}} + way;
    const std::string what = way.begin()->second + ' ' + way.rbegin()->second;
    const Outcome one = simulate(keys, 2);
    for (const int count : {2, 3})
      EXPECT_EQ(simulate(keys + shards(count), 2).model, one.model) << what << count;
  }
}

TEST(SimulatedShards, EachHasALineAndTheClientsLinkIsShared) {
  const Keys links =
      Keys{{"run.rounds", "1"}, {"devices.speed", "100"}, {"network.latency_ms", "250"}} + shards(2);
  const double half = (784 * 10 + 10) * 4 / 2 + static_cast<double>(kFrameHeaderBytes);
  // A fast link: four clients take their turn at each line, all lines at once.
  const Keys lines{{"network.down_mbps", "1e9"}, {"network.up_mbps", "1e9"}, {"network.server_mbps", "8"}};
  EXPECT_NEAR(simulate(links + lines, 2).rounds.at(0).time_s,
              0.25 + 4 * half / 1e6 + 60.0 / 100 + 0.25 + half / 1e6, 1e-6);
  // Fast lines: a client's link has both halves to carry.
  const Keys slow{{"network.down_mbps", "8"}, {"network.up_mbps", "4"}, {"network.server_mbps", "1e9"}};
  const double expected = 0.25 + 2 * half / 1e6 + 60.0 / 100 + 0.25 + 2 * half / 0.5e6;
  EXPECT_NEAR(simulate(links + slow, 2).rounds.at(0).time_s, expected, 1e-6);
  const Keys no_lines{{"network.down_mbps", "8"}, {"network.up_mbps", "4"}};
  EXPECT_NEAR(simulate(links + no_lines, 2).rounds.at(0).time_s, expected, 1e-9);
  expect_same(simulate(links + lines, 2), simulate(links + lines, 1, Lengths::unknown), "unknown lengths");
}

TEST(SimulatedShards, AResumedRunGoesOnWithAnotherNumberOfThem) {
  for (const char* mode : {"bsp", "ssp", "async", "buffered"}) {
    const TemporaryFolder whole, parts;
    const Keys keys =
        kFew + kFastLinks +
        Keys{{"server.checkpoint_every", "1"}, {"sync.mode", mode}, {"server.optimizer", "yogi"}};
    const Outcome once = simulate_in(whole, keys + shards(2), 2);
    simulate_in(parts, keys + shards(2), 2, Lengths::known, 2);
    const Outcome resumed =
        simulate_in(parts, keys + shards(3) + Keys{{"run.resume", "true"}, {"run.overwrite", "false"}}, 2);
    EXPECT_EQ(resumed.model, once.model) << mode;
  }
}

TEST(SimulatedShards, WhatCannotWorkIsRefused) {
  const auto said = [](const Keys& keys) {
    try {
      simulate(kFew + keys, 1);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(said(shards(2) + Keys{{"topology.name", "tree"}}),
              HasSubstr("topology.name = parameter_server"));
  EXPECT_THAT(said(shards(2) + Keys{{"topology.name", "ring"}}), HasSubstr("no server"));
  EXPECT_THAT(said(shards(2) + Keys{{"algorithm.name", "adaptive_tau"}}), HasSubstr("adaptive_tau"));
  EXPECT_THAT(said(shards(2) + Keys{{"server.id", "2"}}), HasSubstr("server.id = 2"));
  EXPECT_THAT(said({{"server.id", "0"}}), HasSubstr("server.shards above 1"));
  EXPECT_THAT(said(shards(65)), HasSubstr("64"));
}

}  // namespace
}  // namespace gossamer
