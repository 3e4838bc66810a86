// What clients keep, in memory and beyond its budget in a file: the same in both.
#include "client/client_states.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "core/error.h"
#include "core/rng.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

constexpr std::size_t kStateFloats = 100;
constexpr std::uint64_t kStateBytes = kStateFloats * sizeof(float);

// With `vectors` of training, and a residual.
ClientState state_of(std::uint64_t seed, std::size_t floats = kStateFloats, std::size_t vectors = 0) {
  Rng rng(seed, Purpose::test, 0);
  const auto fill = [&](FloatBuffer& values) {
    values.resize(floats);
    for (float& x : values) x = static_cast<float>(rng.normal());
  };
  ClientState state;
  state.training.resize(vectors);
  for (FloatBuffer& values : state.training) fill(values);
  fill(state.compression);
  return state;
}

ByteBuffer saved(const ClientStates& states) {
  CheckpointWriter writer;
  states.save(writer);
  return writer.encode();
}

TEST(ClientStates, KeepToTheirBudget) {
  const TemporaryFolder folder;
  ClientStates states(3 * kStateBytes, folder / "states");
  for (ClientId client = 0; client < 10; ++client) {
    states.put(client, state_of(static_cast<std::uint64_t>(client)));
    EXPECT_LE(states.resident_bytes(), 3 * kStateBytes);
  }
  EXPECT_EQ(states.resident_bytes(), 3 * kStateBytes);
  EXPECT_EQ(states.spilled_bytes(), 7 * kStateBytes);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  for (ClientId client = 0; client < 10; ++client)
    EXPECT_EQ(states.copy(client), state_of(static_cast<std::uint64_t>(client))) << client;
  EXPECT_EQ(states.copy(10), ClientState{});
  EXPECT_EQ(states.spilled_bytes(), 7 * kStateBytes);  // copies change nothing
}

TEST(ClientStates, SpillWhoWorkedLeastRecently) {
  const TemporaryFolder folder;
  ClientStates states(2 * kStateBytes, folder / "states");
  states.put(0, state_of(0));
  states.put(1, state_of(1));
  states.copy(0);
  states.put(2, state_of(2));  // spills 1
  EXPECT_EQ(states.spilled_bytes(), kStateBytes);
  states.put(1, state_of(3));  // comes back, and spills 0
  EXPECT_EQ(states.spilled_bytes(), 2 * kStateBytes);
  states.put(2, state_of(4));
  states.put(1, state_of(5));
  EXPECT_EQ(states.spilled_bytes(), 2 * kStateBytes);
  EXPECT_EQ(states.copy(0), state_of(0));
  EXPECT_EQ(states.copy(1), state_of(5));
  EXPECT_EQ(states.copy(2), state_of(4));
}

// The file does not grow with what it is given when lengths repeat.
TEST(ClientStates, ASlotIsUsedAgain) {
  const TemporaryFolder folder;
  ClientStates states(0, folder / "states");
  const FullDisk disk(4 * kStateBytes);
  for (std::uint64_t round = 0; round < 50; ++round) {
    for (ClientId client = 0; client < 4; ++client) {
      states.put(client, state_of(round + static_cast<std::uint64_t>(client)));
      EXPECT_EQ(states.copy(client), state_of(round + static_cast<std::uint64_t>(client)));
    }
  }
  EXPECT_EQ(states.resident_bytes(), 0U);
  EXPECT_EQ(states.spilled_bytes(), 200 * kStateBytes);
}

TEST(ClientStates, AreTheSameWithAnyBudget) {
  const TemporaryFolder folder;
  for (const std::uint64_t budget :
       {0UL, kStateBytes - 1, kStateBytes, 5 * kStateBytes, ClientStates::kNoLimit}) {
    ClientStates states(budget, folder / "states");
    ClientStates plain;
    Rng rng(7, Purpose::test, 1);
    for (std::uint64_t step = 0; step < 400; ++step) {
      const auto client = static_cast<ClientId>(rng() % 9);
      // Now and then of another length, or with nothing in it.
      const std::size_t floats = rng() % 4 == 0 ? rng() % 50 : kStateFloats;
      const ClientState state = state_of(step, floats, rng() % 3);
      if (rng() % 3 == 0) {
        ClientState& borrowed = states.borrow(client);
        EXPECT_EQ(borrowed, plain.copy(client));
        states.copy(static_cast<ClientId>(rng() % 9));
        states.put(9, state_of(step));
        borrowed = state;
        states.release(client);
        plain.put(9, state_of(step));
      } else {
        states.put(client, state);
      }
      plain.put(client, state);
      const auto other = static_cast<ClientId>(rng() % 9);
      ASSERT_EQ(states.copy(other), plain.copy(other)) << budget << ", step " << step;
      ASSERT_LE(states.resident_bytes(), budget);
    }
    EXPECT_EQ(saved(states), saved(plain)) << budget;
    EXPECT_EQ(budget == ClientStates::kNoLimit, states.spilled_bytes() == 0);
  }
}

TEST(ClientStates, ACheckpointHoldsAllAndAnyBudgetTakesItUp) {
  const TemporaryFolder folder;
  ClientStates states(2 * kStateBytes, folder / "states");
  for (ClientId client = 0; client < 8; ++client)
    states.put(client, state_of(static_cast<std::uint64_t>(client), kStateFloats, 2));
  CheckpointWriter writer;
  states.save(writer);
  writer.commit(folder / "a.ckpt");
  for (const std::uint64_t budget : {0UL, 7 * kStateBytes, ClientStates::kNoLimit}) {
    ClientStates resumed(budget, folder / "resumed");
    resumed.put(100, state_of(100));
    resumed.load(CheckpointReader(folder / "a.ckpt"));
    EXPECT_LE(resumed.resident_bytes(), budget);
    EXPECT_EQ(resumed.copy(100), ClientState{});
    for (ClientId client = 0; client < 8; ++client)
      EXPECT_EQ(resumed.copy(client), state_of(static_cast<std::uint64_t>(client), kStateFloats, 2));
    EXPECT_EQ(saved(resumed), saved(states)) << budget;
  }
}

TEST(ClientStates, AFullDiskIsARunErrorAndLosesNothing) {
  const TemporaryFolder folder;
  ClientStates states(2 * kStateBytes, folder / "states");
  std::string reason;
  {
    const FullDisk disk(3 * kStateBytes + 5);
    reason = message_of<RunError>([&] {
      for (ClientId client = 0; client < 10; ++client)
        states.put(client, state_of(static_cast<std::uint64_t>(client)));
    });
  }
  EXPECT_EQ(reason, "cannot write " + (folder / "states").string() + ": File too large");
  for (ClientId client = 0; client < 6; ++client)
    EXPECT_EQ(states.copy(client), state_of(static_cast<std::uint64_t>(client))) << client;
  states.drop_file();
  EXPECT_EQ(states.copy(0), ClientState{});
  EXPECT_EQ(states.spilled_bytes(), 3 * kStateBytes);
  ClientStates nowhere(0, folder / "none/states");
  EXPECT_THAT(message_of<RunError>([&] { nowhere.put(0, state_of(0)); }),
              ::testing::HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace gossamer
