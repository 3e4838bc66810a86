// What simulated clients keep between rounds, in memory and in a file.
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

const Keys kOfStates{
    {"data.clients", "4"}, {"run.rounds", "8"}, {"run.eval_every", "4"}, {"client.lr", "0.05"}};
constexpr std::size_t kFloats = 7850;

// The budget is that of one residual and a half, of eight clients.
const Keys kScarce{{"run.client_state_mb", "0.047"}};
const Keys kEight{{"data.clients", "8"}, {"compression.up", "one_bit"}, {"server.checkpoint_every", "2"}};

TEST(SimulatedStates, ResidualsInAFileChangeNothing) {
  for (const char* mode : {"bsp", "ssp", "async", "buffered"}) {
    for (const char* cohort : {"1", "0.5"}) {
      if (mode == std::string("ssp") && cohort != std::string("1")) continue;  // everybody works
      const Keys keys =
          kOfStates + kEight + Keys{{"sync.mode", mode}, {"cohort.fraction", cohort}, {"run.rounds", "24"}};
      const Outcome plain = simulate(keys, 2);
      EXPECT_EQ(plain.spilled_bytes, 0U);
      for (const int threads : {1, 2}) {
        const Outcome scarce = simulate(keys + kScarce, threads);
        EXPECT_GT(scarce.spilled_bytes, 8 * kFloats * 4) << mode;
        expect_same(scarce, plain, mode + std::string(" ") + cohort);
      }
    }
  }
}

TEST(SimulatedStates, ModelsOfClientsInAFileChangeNothing) {
  for (const char* algorithm : {"easgd", "eamsgd"}) {
    for (const char* mode : {"bsp", "async"}) {
      const Keys keys{{"data.clients", "6"},         {"run.rounds", "12"},  {"run.eval_every", "6"},
                      {"algorithm.name", algorithm}, {"client.lr", "0.01"}, {"sync.mode", mode},
                      {"client.local_steps", "5"}};
      const Outcome plain = simulate(keys, 2);
      for (const int threads : {1, 2}) {
        const Outcome scarce = simulate(keys + kScarce, threads);
        EXPECT_GT(scarce.spilled_bytes, 6 * kFloats * 4) << algorithm << ' ' << mode;
        expect_same(scarce, plain, algorithm + std::string(" ") + mode);
      }
    }
  }
}

TEST(SimulatedStates, ARunGoesOnWithAnyBudget) {
  for (const char* mode : {"bsp", "async"}) {
    const Keys keys = kOfStates + kEight + Keys{{"sync.mode", mode}, {"run.rounds", "16"}};
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

TEST(SimulatedStates, AFullDiskEndsTheRunInAWord) {
  const TemporaryFolder folder;
  std::string reason;
  {
    const FullDisk disk(100'000);  // room for three residuals
    reason = message_of<RunError>([&] {
      simulate_in(folder, kOfStates + kEight + kScarce + Keys{{"server.checkpoint_every", "0"}}, 2);
    });
  }
  EXPECT_EQ(reason, "cannot write " + (folder / "client_states").string() + ": File too large");
}

}  // namespace
}  // namespace gossamer
