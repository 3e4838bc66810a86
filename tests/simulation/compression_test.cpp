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

// The budget is that of one residual and a half, of eight clients.
const Keys kScarce{{"run.client_state_mb", "0.047"}};
const Keys kEight{{"data.clients", "8"}, {"compression.up", "one_bit"}, {"server.checkpoint_every", "2"}};

TEST(SimulatedCompression, ResidualsInAFileChangeNothing) {
  for (const char* mode : {"bsp", "ssp", "async", "buffered"}) {
    for (const char* cohort : {"1", "0.5"}) {
      if (mode == std::string("ssp") && cohort != std::string("1")) continue;  // everybody works
      const Keys keys =
          kFederation + kEight + Keys{{"sync.mode", mode}, {"cohort.fraction", cohort}, {"run.rounds", "24"}};
      const Outcome plain = simulate(keys, 2);
      EXPECT_EQ(plain.spilled_bytes, 0U);
      for (const int threads : {1, 2}) {
        const Outcome scarce = simulate(keys + kScarce, threads);
        EXPECT_GT(scarce.spilled_bytes, 8 * kModel * 4) << mode;
        expect_same(scarce, plain, mode + std::string(" ") + cohort);
      }
    }
  }
}

TEST(SimulatedCompression, ModelsOfClientsInAFileChangeNothing) {
  for (const char* algorithm : {"easgd", "eamsgd"}) {
    for (const char* mode : {"bsp", "async"}) {
      const Keys keys{{"data.clients", "6"},         {"run.rounds", "12"},  {"run.eval_every", "6"},
                      {"algorithm.name", algorithm}, {"client.lr", "0.01"}, {"sync.mode", mode},
                      {"client.local_steps", "5"}};
      const Outcome plain = simulate(keys, 2);
      for (const int threads : {1, 2}) {
        const Outcome scarce = simulate(keys + kScarce, threads);
        EXPECT_GT(scarce.spilled_bytes, 6 * kModel * 4) << algorithm << ' ' << mode;
        expect_same(scarce, plain, algorithm + std::string(" ") + mode);
      }
    }
  }
}

TEST(SimulatedCompression, ARunGoesOnWithAnyBudget) {
  for (const char* mode : {"bsp", "async"}) {
    const Keys keys = kFederation + kEight + Keys{{"sync.mode", mode}, {"run.rounds", "16"}};
    const Keys further{{"run.overwrite", "false"}, {"run.resume", "true"}};
    const Outcome whole = simulate(keys, 2);
    for (const bool scarce_first : {true, false}) {
      const TemporaryFolder folder;
      simulate_in(folder, keys + (scarce_first ? kScarce : Keys{}), 2, Lengths::known, 7);
      const Outcome resumed = simulate_in(folder, keys + further + (scarce_first ? Keys{} : kScarce), 1);
      expect_same(resumed, whole, mode);
      EXPECT_EQ(resumed.spilled_bytes > 0, !scarce_first);
    }
  }
}

TEST(SimulatedCompression, AFullDiskEndsTheRunInAWord) {
  const TemporaryFolder folder;
  std::string reason;
  {
    const FullDisk disk(100'000);  // room for three residuals
    reason = message_of<RunError>([&] {
      simulate_in(folder, kFederation + kEight + kScarce + Keys{{"server.checkpoint_every", "0"}}, 2);
    });
  }
  EXPECT_EQ(reason, "cannot write " + (folder / "client_states").string() + ": File too large");
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
  EXPECT_THAT(said({{"compression.top_k.density", "0.1"}}), HasSubstr("compression.up = top_k"));
  EXPECT_THAT(said({{"compression.int8.rounding", "nearest"}}),
              HasSubstr("compression.up = int8 or compression.down = int8"));
}

}  // namespace
}  // namespace gossamer
