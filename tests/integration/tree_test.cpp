// A tree: the same model in one process, under mpirun and over ZeroMQ; who may not be in it, and how it ends.
#include <gmock/gmock.h>

#include <csignal>

#include "integration/fleet.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

const Words kTree{"--topology.name",
                  "tree",
                  "--data.clients",
                  "4",
                  "--cohort.fraction",
                  "1",
                  "--model.name",
                  "mlp",
                  "--run.rounds",
                  "4",
                  "--run.seed",
                  "5",
                  "-q"};

struct Case {
  std::string name, fanout;
  FleetShape shape;
  Words keys;
};

int ranks_of_its_own(const Case& one) { return 1 + static_cast<int>(one.shape.parents.size()) + 2; }

class TreeInThreePlaces : public ::testing::TestWithParam<Case> {};

TEST_P(TreeInThreePlaces, GivesTheSameModelAndTheSameBytes) {
  const TemporaryFolder folder;
  const Words keys = kTree + Words{"--topology.tree.fanout", GetParam().fanout} + GetParam().keys;
  const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, keys, folder / "simulate"));
  EXPECT_GT(simulated.up, 0U);
  EXPECT_EQ(outcome_of(run_to_end(mpirun(3), keys, folder / "mpi")), simulated);
  EXPECT_EQ(outcome_of(run_to_end(mpirun(ranks_of_its_own(GetParam())) + Words{"--train.aggregator_ranks"},
                                  keys, folder / "apart")),
            simulated);
  Fleet fleet(keys, folder, GetParam().shape);
  EXPECT_EQ(outcome_of(fleet.finish()), simulated);
  fleet.expect_others_end(0);
}

INSTANTIATE_TEST_SUITE_P(
    Every, TreeInThreePlaces,
    ::testing::Values(
        Case{"OneLevel", "2", {4, {-1, -1}, {0, 0, 1, 1}}, {}},
        Case{"TwoLevels", "1,2", {4, {-1, 0, 0}, {1, 1, 2, 2}}, {"--topology.tree.rounds", "2"}},
        Case{"Filtered", "2", {4, {-1, -1}, {0, 0, 1, 1}}, {"--topology.tree.filter", "gaia"}},
        Case{"Differences",
             "1,2",
             {4, {-1, 0, 0}, {1, 1, 2, 2}},
             {"--topology.tree.rounds", "2", "--compression.down", "one_bit", "--run.rounds", "8"}}),
    [](const auto& tested) { return tested.param.name; });

const Words kLong{
    "--topology.tree.fanout",    "2", "--run.rounds", "100000", "--server.client_timeout_s", "2",
    "--client.server_timeout_s", "5"};

TEST(TreeOverZmq, EndsWithTheNamesWhereNoAggregatorIsLeft) {
  const TemporaryFolder folder;
  Fleet fleet(kTree + kLong, folder, {4, {-1, -1}, {0, 0, 1, 1}});
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.root().output();
  fleet.aggregator(0).signal(SIGKILL);
  fleet.aggregator(1).signal(SIGKILL);
  const std::string stopped_by = fleet.finish(3).at("stopped_by");
  EXPECT_THAT(stopped_by, HasSubstr("aggregator 0 ("));
  EXPECT_THAT(stopped_by, HasSubstr("aggregator 1 ("));
  for (int k = 0; k < 4; ++k) Fleet::expect_end(fleet.client(k), 3);
}

TEST(TreeUnderMpirun, TooFewRanksForItsAggregatorsAreRefused) {
  const TemporaryFolder folder;
  Process job(mpirun(3) + kTree + Words{"--train.aggregator_ranks"}, folder / "log");
  EXPECT_EQ(job.wait(kLimit), 2) << job.output();
  EXPECT_THAT(job.output(), HasSubstr("start at least 4 with mpirun -n"));
  Process server(mpirun(3) + Words{"--train.aggregator_ranks"}, folder / "log2");
  EXPECT_EQ(server.wait(kLimit), 2) << server.output();
  EXPECT_THAT(server.output(), HasSubstr("only with topology.name = tree"));
}

TEST(TreeOverZmq, AClientAtTheWrongAggregatorIsRefused) {
  const TemporaryFolder folder;
  Fleet fleet(kTree + kLong, folder, {4, {-1, -1}, {0, 1, 1, 1}});
  EXPECT_EQ(fleet.client(1).wait(kLimit), 2);
  EXPECT_THAT(fleet.client(1).output(), HasSubstr("client 2 to client 3"));
}

}  // namespace
}  // namespace gossamer::testing
