// Compressed updates in virtual time: what is counted, and what clients keep.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/participant.h"
#include "comms/codec.h"
#include "core/checksum.h"
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
  EXPECT_EQ(fast.compression, "none");  // whatever another leaves out costs more than it saves
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

std::uint64_t bytes_down(const Outcome& outcome, std::size_t round) {
  return outcome.rounds.at(round).bytes_down;
}

TEST(SimulatedCompression, DifferencesBetweenModelsAreCounted) {
  constexpr std::size_t kWhole = 4 * (kFrameHeaderBytes + kModel * 4);
  const std::map<std::string, std::size_t> payloads{
      {"fp16", (kModel - 10) * 2 + 40},
      {"one_bit", (kModel - 10) / 8 + 8 + 40},
      {"terngrad", 4 + 4 + (kModel - 10) / 5 + 40},  // with the factor that it is shrunk by
      {"qsgd", 4 + (kModel - 10) / 2 + 16 * 4 + 40},
  };
  const Keys form{{"compression.down_form", "difference"}};
  for (const auto& [method, payload] : payloads) {
    const Keys keys = kFederation + form + Keys{{"compression.down", method}};
    const Outcome outcome = simulate(keys, 2);
    EXPECT_EQ(bytes_down(outcome, 0), kWhole) << method;
    for (std::size_t round = 1; round < outcome.rounds.size(); ++round)
      EXPECT_EQ(bytes_down(outcome, round), 4 * (kFrameHeaderBytes + payload)) << method;
    EXPECT_GT(*outcome.rounds.back().test_accuracy, 0.5) << method;
    expect_same(outcome, simulate(keys, 1), method);
  }
}

TEST(SimulatedCompression, DifferencesGoToWhoWasThereAndModelsToTheOthers) {
  const Keys keys = kFederation + Keys{{"data.clients", "12"},          {"cohort.fraction", "0.5"},
                                       {"compression.down", "one_bit"}, {"compression.up", "one_bit"},
                                       {"devices.dropout", "0.2"},      {"run.rounds", "20"}};
  const Outcome outcome = simulate(keys, 2);
  constexpr std::size_t kWhole = kFrameHeaderBytes + kModel * 4;
  constexpr std::size_t kDifference = kFrameHeaderBytes + (kModel - 10) / 8 + 8 + 40;
  std::size_t some = 0;
  for (std::size_t round = 1; round < outcome.rounds.size(); ++round) {
    const auto arrived = static_cast<std::uint64_t>(outcome.rounds[round - 1].clients);
    bool explained = false;
    for (std::uint64_t differences = 0; differences <= arrived; ++differences) {
      explained |= bytes_down(outcome, round) == differences * kDifference + (6 - differences) * kWhole;
      some += bytes_down(outcome, round) < 6 * kWhole ? 1U : 0U;
    }
    EXPECT_TRUE(explained) << round;
  }
  EXPECT_GT(some, 0U);
  expect_same(outcome, simulate(keys, 1), "threads");
  const Outcome backed = simulate(keys + Keys{{"sync.backup_workers", "2"}}, 2);
  expect_same(backed, simulate(keys + Keys{{"sync.backup_workers", "2"}}, 1), "backup workers");
}

// A process that is started again, whatever the sync mode, and one whose coordinator went back: they answer
// as they did.
TEST(Participant, GoesOnWithWhatItKeptInItsOwnFolder) {
  for (const char* mode : {"bsp", "async"}) {
    const TemporaryFolder folder;
    Options options = configured(Keys{{"data.clients", "2"},
                                      {"sync.mode", mode},
                                      {"compression.up", "top_k"},
                                      {"server.checkpoint_every", "2"},
                                      {"client.state_dir", (folder / "states").string()}},
                                 folder);
    const auto data = make_dataset(options);
    resolve(options);
    const auto ask = [&](Participant& participant, Round round) {
      const std::size_t floats = participant.model().layout()->size();
      const auto update = participant.answer(
          {encode_model(1, round, 1, 0, as_they_are(SharedFloats::of(FloatBuffer(floats, 0.0F)))), {}});
      EXPECT_TRUE(update.ok());
      return checksum_of(update.value()[0].payload.bytes);
    };
    Participant first(options, *data);
    std::vector<std::uint64_t> straight;
    for (Round round = 1; round <= 5; ++round) straight.push_back(ask(first, round));
    EXPECT_NE(straight[3], straight[4]) << "of the same model, but with another residual";

    Participant again(options, *data);
    EXPECT_EQ(ask(again, 5), straight[4]) << mode;
    Participant gone_back(options, *data);
    EXPECT_NE(ask(gone_back, 6), straight[4]) << mode;
    EXPECT_EQ(ask(gone_back, 3), straight[2]) << mode;
    EXPECT_EQ(ask(gone_back, 4), straight[3]) << mode;
  }
}

// What is left to send comes later, so a model that is sent in small parts is trained all the same.
TEST(SimulatedCompression, AModelSentInDifferencesIsTrained) {
  const Keys dense_keys = kFederation + Keys{{"run.rounds", "60"}, {"run.eval_every", "60"}};
  const auto accuracy = [](const Keys& run) { return *simulate(run, 2).rounds.back().test_accuracy; };
  const double dense = accuracy(dense_keys);
  for (const char* method : {"one_bit", "qsgd", "terngrad", "top_k", "random_k", "sketched"})
    EXPECT_GT(accuracy(dense_keys + Keys{{"compression.down", method}}), dense - 0.05) << method;
}

// A resumed run sends everybody the model that those who went on have made, so all train the same.
TEST(SimulatedCompression, ARunOfDifferencesGoesOnFromACheckpoint) {
  for (const char* method : {"qsgd", "powersgd", "dgc", "random_k"}) {
    for (const char* shards : {"1", "2"}) {
      if (std::string(method) == "powersgd" && std::string(shards) == "2") continue;
      const Keys keys =
          kFederation + compression("qsgd") +
          Keys{{"compression.down", method}, {"server.shards", shards}, {"server.checkpoint_every", "3"}};
      const Outcome whole = simulate(keys, 2);
      const TemporaryFolder folder;
      simulate_in(folder, keys, 2, Lengths::known, 5);
      const Outcome resumed =
          simulate_in(folder, keys + Keys{{"run.overwrite", "false"}, {"run.resume", "true"}}, 2);
      EXPECT_EQ(resumed.model, whole.model) << method << shards;
      EXPECT_EQ(resumed.rounds.size(), whole.rounds.size());
    }
  }
}

TEST(SimulatedCompression, ShardsSendDifferencesOfTheirRanges) {
  const Keys one = kFederation + Keys{{"compression.down", "bf16"},
                                      {"compression.down_form", "difference"},
                                      {"compression.min_size", "0"}};
  const Keys three = one + Keys{{"server.shards", "3"}};
  EXPECT_EQ(simulate(one, 2).model, simulate(three, 2).model) << "a method that takes values one by one";
  const Keys sparse = kFederation + Keys{{"compression.down", "top_k"}, {"server.shards", "3"}};
  expect_same(simulate(sparse, 2), simulate(sparse, 1), "top_k");
}

TEST(SimulatedCompression, TreesSendDifferencesOnAllLevels) {
  const Keys tree = kFederation + Keys{{"topology.name", "tree"}, {"topology.tree.fanout", "2"}};
  const Keys keys = tree + Keys{{"compression.down", "one_bit"}, {"topology.tree.rounds", "2"}};
  const Outcome outcome = simulate(keys, 2);
  constexpr std::size_t kWhole = kFrameHeaderBytes + kModel * 4;
  constexpr std::size_t kDifference = kFrameHeaderBytes + (kModel - 10) / 8 + 8 + 40;
  // Two aggregators, and four clients in each of two rounds.
  EXPECT_EQ(bytes_down(outcome, 0), 2 * kWhole + 4 * kWhole + 4 * kDifference);
  for (std::size_t round = 1; round < outcome.rounds.size(); ++round)
    EXPECT_EQ(bytes_down(outcome, round), 10 * kDifference);
  EXPECT_GT(*outcome.rounds.back().test_accuracy, 0.5);
  expect_same(outcome, simulate(keys, 1), "threads");
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
  const Keys shared{{"topology.name", "ring"}, {"compression.all_reduce", "shared_scaler"}};
  EXPECT_THAT(said(shared + Keys{{"compression.up", "qsgd"}}), HasSubstr("only compression.up = terngrad"));
  EXPECT_THAT(said(shared + Keys{{"compression.up", "terngrad"}, {"compression.error_feedback", "on"}}),
              HasSubstr("leaves no residual"));
  const Keys differences{{"compression.down", "one_bit"}};
  EXPECT_THAT(said(differences + Keys{{"compression.down_form", "model"}}),
              HasSubstr("none, fp16, bf16, int8"));
  EXPECT_THAT(said({{"compression.down_form", "difference"}}), HasSubstr("choose a method"));
  EXPECT_THAT(said({{"compression.down", "esgd"}}), HasSubstr("in its own way"));
  const Keys gossip{{"topology.name", "gossip"}};
  EXPECT_THAT(said(differences + gossip + Keys{{"topology.gossip.method", "pairwise"}}),
              HasSubstr("topology.gossip.method = d_psgd"));
  EXPECT_THAT(
      said(differences + gossip + Keys{{"sync.mode", "async"}, {"topology.gossip.method", "pairwise"}}),
      HasSubstr("sync.mode = async"));
  EXPECT_THAT(said(gossip + Keys{{"topology.gossip.consensus_step", "0.1"}}),
              HasSubstr("use compression.down_form = difference"));
  EXPECT_THAT(said(differences + Keys{{"topology.name", "ring"}}), HasSubstr("sends updates only"));
  for (const char* mode : {"ssp", "async", "buffered"})
    EXPECT_THAT(said(differences + Keys{{"sync.mode", mode}}), HasSubstr("sync.mode = bsp")) << mode;
  EXPECT_THAT(said(differences + Keys{{"sync.late", "finish"}}), HasSubstr("sync.late = cancel"));
  const Keys tree{{"topology.name", "tree"}};
  EXPECT_THAT(said(differences + tree + Keys{{"topology.tree.sync", "ssp"}}),
              HasSubstr("topology.tree.sync = bsp"));
  EXPECT_THAT(said(differences + tree + Keys{{"run.overwrite", "false"}, {"run.resume", "true"}}),
              HasSubstr("leave run.resume out"));
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
