// Compressed updates in virtual time: what is counted, and what clients keep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

const Keys kFederation{
    {"data.clients", "4"}, {"run.rounds", "8"}, {"run.eval_every", "4"}, {"client.lr", "0.05"}};
constexpr std::size_t kModel = 7850;  // floats, of which 10 travel as they are

Keys compression(const std::string& method) { return {{"compression.up", method}}; }

TEST(SimulatedCompression, CountsTheBytesOfTheMethod) {
  const std::map<std::string, std::size_t> payloads{
      {"none", kModel * 4},
      {"fp16", (kModel - 10) * 2 + 40},
      {"int8", (kModel - 10) + 16 * 4 + 40},
      {"one_bit", (kModel - 10) / 8 + 8 + 40},
      {"terngrad", 4 + (kModel - 10) / 5 + 40},
      {"qsgd", (kModel - 10) / 2 + 16 * 4 + 40},
  };
  for (const auto& [method, payload] : payloads) {
    const Outcome outcome = simulate(kFederation + compression(method), 2);
    for (const RoundMetrics& round : outcome.rounds)
      EXPECT_EQ(round.bytes_up, 4 * (kFrameHeaderBytes + payload)) << method;
    EXPECT_GT(*outcome.rounds.back().test_accuracy, 0.5) << method;
    expect_same(outcome, simulate(kFederation + compression(method), 1), method);
  }
}

TEST(SimulatedCompression, WhereLengthsAreNotKnownBeforeTrainingTheyChangeNothing) {
  for (const char* mode : {"bsp", "ssp", "async", "buffered"}) {
    const Keys keys = kFederation + compression("one_bit") + Keys{{"sync.mode", mode}};
    const Outcome known = simulate(keys, 2);
    EXPECT_EQ(simulate(keys, 2, Lengths::unknown).model, known.model) << mode;
    const Keys sparse = kFederation + compression("top_k") + Keys{{"sync.mode", mode}};
    expect_same(simulate(sparse, 2), simulate(sparse, 1), mode);
  }
}

TEST(SimulatedCompression, WhatIsLeftOutIsSentLater) {
  const Keys dense_keys = kFederation + Keys{{"run.rounds", "60"}, {"run.eval_every", "60"}};
  const Keys keys = dense_keys + compression("top_k") + Keys{{"compression.top_k.density", "0.01"}};
  const auto accuracy = [](const Keys& run) { return *simulate(run, 2).rounds.back().test_accuracy; };
  const double dense = accuracy(dense_keys);
  const double with = accuracy(keys), without = accuracy(keys + Keys{{"compression.error_feedback", "off"}});
  EXPECT_GT(with, dense - 0.05);
  EXPECT_GT(with, without);
}

const Keys kAuto{{"compression.up", "auto"}, {"compression.auto.rounds", "2"}, {"run.rounds", "24"},
                 {"run.eval_every", "24"},   {"network.latency_ms", "1"},      {"devices.speed", "10000"}};
const Keys kSlow{{"network.up_mbps", "0.1"}}, kFast{{"network.up_mbps", "1e12"}};

// Clients and server know each round's method: an update by another one would have been rejected.
TEST(SimulatedCompression, AutoGoesWithShorterMessagesOnASlowerLink) {
  const auto chosen = [](const Keys& link) {
    const Outcome outcome = simulate(kFederation + kAuto + link, 2);
    for (const RoundMetrics& round : outcome.rounds) {
      EXPECT_EQ(round.rejected, 0);
      EXPECT_EQ(round.clients, 4);
      EXPECT_FALSE(round.compression.empty());
    }
    // What is tried first, after the round that is not counted.
    EXPECT_EQ(outcome.rounds.at(2).compression, "top_k_0.001");
    EXPECT_EQ(outcome.rounds.at(3).compression, "top_k_0.01");
    EXPECT_GT(*outcome.rounds.back().test_accuracy, 0.5);
    return outcome.rounds.back();
  };
  const RoundMetrics slow = chosen(kSlow), fast = chosen(kFast);
  EXPECT_EQ(fast.compression, "fp16");  // as far as a float says it delivers all, and is half as long
  EXPECT_LT(slow.bytes_up, fast.bytes_up / 2);
}

TEST(SimulatedCompression, AutoDependsOnTheVirtualClockAlone) {
  for (const Keys& link : {kSlow, kFast}) {
    const Keys keys = kFederation + kAuto + link;
    expect_same(simulate(keys, 1), simulate(keys, 2), "threads");
  }
}

TEST(SimulatedCompression, AutoGoesOnWhereItsCheckpointWas) {
  const Keys keys = kFederation + kAuto + kSlow + Keys{{"server.checkpoint_every", "1"}};
  const Outcome whole = simulate(keys, 2);
  for (const Round stop : {1, 4, 20}) {
    const TemporaryFolder folder;
    simulate_in(folder, keys, 2, Lengths::known, stop);
    expect_same(whole,
                simulate_in(folder, keys + Keys{{"run.overwrite", "false"}, {"run.resume", "true"}}, 1),
                "stopped after " + std::to_string(stop));
  }
}

TEST(SimulatedCompression, WhatCannotWorkIsRefused) {
  const auto said = [](const Keys& keys) {
    try {
      simulate(kFederation + keys, 1);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  using ::testing::HasSubstr;
  EXPECT_THAT(said({{"compression.down", "fp16"}, {"topology.name", "ring"}}),
              HasSubstr("topology.name = ring sends updates only"));
  EXPECT_THAT(said({{"compression.up", "fp16"}, {"topology.name", "gossip"}}),
              HasSubstr("use compression.down"));
  EXPECT_THAT(said({{"compression.up", "fp16"}, {"topology.name", "ring"}, {"algorithm.name", "sync_sgd"}}),
              HasSubstr("sync_sgd means compression.up = none"));
  EXPECT_THAT(said({{"compression.all_reduce", "gather"}}), HasSubstr("sums nothing among peers"));
  EXPECT_THAT(said({{"compression.up", "fp16"},
                    {"topology.name", "all_to_all"},
                    {"compression.all_reduce", "reduce_scatter"}}),
              HasSubstr("passes no chunks around; use gather"));
  EXPECT_THAT(said({{"compression.down", "one_bit"}}), HasSubstr("none, fp16, bf16, int8"));
  EXPECT_THAT(said({{"compression.up", "top_k"}, {"sync.late", "finish"}}), HasSubstr("sync.late = cancel"));
  EXPECT_THAT(said({{"compression.up", "auto"}, {"sync.mode", "async"}}), HasSubstr("use sync.mode = bsp"));
  for (const char* topology : {"ring", "tree"})
    EXPECT_THAT(said({{"compression.up", "auto"}, {"topology.name", topology}}),
                HasSubstr("use topology.name = parameter_server"));
  EXPECT_THAT(said({{"compression.up", "auto"}, {"server.shards", "2"}}), HasSubstr("use server.shards = 1"));
  EXPECT_THAT(said({{"compression.up", "auto"}, {"compression.error_feedback", "off"}}),
              HasSubstr("from method to method by their residual"));
  EXPECT_THAT(said({{"compression.auto.rounds", "2"}}), HasSubstr("compression.up = auto"));
  EXPECT_THAT(said({{"compression.top_k.density", "0.1"}}), HasSubstr("compression.up = top_k"));
  EXPECT_THAT(said({{"compression.int8.rounding", "nearest"}}),
              HasSubstr("compression.up = int8 or compression.down = int8"));
}

}  // namespace
}  // namespace gossamer
