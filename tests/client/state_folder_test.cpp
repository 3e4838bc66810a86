// What clients keep on a disk of their own.
#include "client/state_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "core/checkpoint.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;

Options run_with(const std::string& seed = "1") {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, "of the run"));
  schema->add(integer_option("run.rounds", 100, "of the run"));
  schema->add(integer_option("server.checkpoint_every", 10, "rounds"));
  Options options(schema);
  options.set("run.seed", seed);
  return options;
}

ClientState kept(float value) {
  return {{FloatBuffer(3, value), FloatBuffer(2, -value)}, FloatBuffer(5, value)};
}

TEST(StateFolder, GivesBackWhatWasKeptBeforeARound) {
  const TemporaryFolder folder;
  const StateFolder states(run_with(), folder / "states");
  EXPECT_EQ(states.before(1, 0), std::nullopt);
  states.save(0, 8, kept(8));
  states.save(0, 9, kept(9));
  states.save(1, 9, kept(1));
  EXPECT_EQ(states.before(10, 0), kept(9));
  EXPECT_EQ(states.before(12, 0), kept(9)) << "a client may be passed over";
  EXPECT_EQ(states.before(9, 0), kept(8)) << "the update of round 9 may not have arrived";
  EXPECT_EQ(states.before(8, 0), std::nullopt);
  EXPECT_EQ(states.before(10, 1), kept(1));
  EXPECT_EQ(states.before(10, 2), std::nullopt);
}

TEST(StateFolder, KeepsTheNewestAndThoseThatACoordinatorMayGoBackTo) {
  const TemporaryFolder folder;
  const StateFolder states(run_with(), folder / "states");
  for (Round round = 1; round <= 43; ++round) states.save(7, round, kept(static_cast<float>(round)));
  EXPECT_THAT(checkpoint_rounds(folder / "states" / "client-7"), ElementsAre(43, 42, 40, 30));
  EXPECT_EQ(states.before(41, 7), kept(40));
  EXPECT_EQ(states.before(31, 7), kept(30));
  // It has gone back, so what came later is void.
  states.save(7, 31, kept(-31));
  EXPECT_THAT(checkpoint_rounds(folder / "states" / "client-7"), ElementsAre(31, 30));
}

TEST(StateFolder, PassesOverWhatItCannotUse) {
  const TemporaryFolder folder;
  const StateFolder states(run_with(), folder / "states");
  states.save(0, 10, kept(10));
  states.save(0, 11, kept(11));
  EXPECT_EQ(StateFolder(run_with("2"), folder / "states").before(12, 0), std::nullopt) << "another run";
  std::ofstream(checkpoint_path(folder / "states" / "client-0", 11)) << "cut";
  EXPECT_EQ(states.before(12, 0), kept(10));
}

}  // namespace
}  // namespace gossamer
