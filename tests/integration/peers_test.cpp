// Peers without a server: the same model in one process, under mpirun and over ZeroMQ; and how a run ends.
#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <fstream>

#include "integration/fleet.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

const Words kPeers{
    "--data.clients", "4", "--model.name", "mlp", "--run.rounds", "4", "--run.seed", "5", "-q"};

Outcome over_zmq(const Words& keys, const TemporaryFolder& folder) {
  Fleet fleet(keys, folder);
  const Outcome outcome = outcome_of(fleet.finish());
  fleet.expect_others_end(0);
  return outcome;
}

struct Lockstep {
  std::string name;
  Words keys;
  bool any_ranks;
};

class ThreePlaces : public ::testing::TestWithParam<Lockstep> {};

TEST_P(ThreePlaces, GiveTheSameModelAndTheSameBytes) {
  const TemporaryFolder folder;
  const Words keys = kPeers + GetParam().keys;
  const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, keys, folder / "simulate"));
  EXPECT_GT(simulated.up, 0U);
  EXPECT_EQ(simulated.up, simulated.down);
  EXPECT_EQ(outcome_of(run_to_end(mpirun(4), keys, folder / "mpi")), simulated);
  if (GetParam().any_ranks) {
    EXPECT_EQ(outcome_of(run_to_end(mpirun(3), keys, folder / "mpi3")), simulated);
  }
  EXPECT_EQ(over_zmq(keys, folder), simulated);
}

INSTANTIATE_TEST_SUITE_P(
    Peers, ThreePlaces,
    ::testing::Values(
        Lockstep{"ring", {"--topology.name", "ring"}, false},
        Lockstep{"all_to_all", {"--topology.name", "all_to_all", "--run.eval_every", "3"}, false},
        Lockstep{"sync_sgd", {"--topology.name", "ring", "--algorithm.name", "sync_sgd"}, false},
        Lockstep{"sync_sgd_all_to_all",
                 {"--topology.name", "all_to_all", "--algorithm.name", "sync_sgd", "--data.partition",
                  "quantity_skew", "--client.momentum", "0.9"},
                 false},
        Lockstep{"d_psgd", {"--topology.name", "gossip"}, true},
        Lockstep{"d_psgd_overlap",
                 {"--topology.name", "gossip", "--topology.gossip.overlap", "--topology.graph", "complete"},
                 true},
        Lockstep{"pairwise", {"--topology.name", "gossip", "--topology.gossip.method", "pairwise"}, true},
        Lockstep{
            "ring_top_k",
            {"--topology.name", "ring", "--compression.up", "top_k", "--data.partition", "quantity_skew"},
            false},
        Lockstep{
            "ring_one_bit_gathered",
            {"--topology.name", "ring", "--compression.up", "one_bit", "--compression.all_reduce", "gather"},
            false},
        Lockstep{"ring_terngrad_shared_scaler",
                 {"--topology.name", "ring", "--compression.up", "terngrad", "--compression.all_reduce",
                  "shared_scaler", "--data.partition", "quantity_skew"},
                 false},
        Lockstep{"grouped_ring",
                 {"--topology.name", "grouped_ring", "--topology.grouped_ring.groups", "2"},
                 false},
        Lockstep{"grouped_ring_bounded_error",
                 {"--topology.name", "grouped_ring", "--compression.up", "bounded_error"},
                 false},
        Lockstep{"all_to_all_qsgd", {"--topology.name", "all_to_all", "--compression.up", "qsgd"}, false},
        Lockstep{"d_psgd_int8",
                 {"--topology.name", "gossip", "--compression.down", "int8", "--compression.int8.rounding",
                  "stochastic"},
                 true},
        Lockstep{"d_psgd_one_bit", {"--topology.name", "gossip", "--compression.down", "one_bit"}, true}),
    [](const auto& tested) { return tested.param.name; });

// From a checkpoint each peer has the copy of itself alone, and sends it to its neighbours first.
TEST(Peers, DifferencesGoOnFromACheckpoint) {
  const TemporaryFolder folder;
  const Words keys = kPeers + Words{"--topology.name",           "gossip", "--compression.down", "one_bit",
                                    "--server.checkpoint_every", "2"};
  const auto in_two = [&](const Words& command, const std::filesystem::path& out) {
    run_to_end(command, keys + Words{"--run.rounds", "2"}, out);
    return outcome_of(run_to_end(command, keys + Words{"--run.rounds", "5", "--run.resume"}, out));
  };
  const Words simulate{kProgram, "simulate"};
  const Outcome simulated = in_two(simulate, folder / "simulate");
  EXPECT_EQ(in_two(mpirun(3), folder / "mpi"), simulated);
  const auto straight = run_to_end(simulate, keys + Words{"--run.rounds", "5"}, folder / "straight");
  EXPECT_EQ(simulated.sha, outcome_of(straight).sha);
  EXPECT_GT(simulated.up, outcome_of(straight).up) << "the copies";
}

TEST(Peers, MpisOwnSumGivesTheRingsModelUpToRounding) {
  const TemporaryFolder folder;
  const auto ring = run_to_end(mpirun(4), kPeers + Words{"--topology.name", "ring"}, folder / "ring");
  const auto mpi = run_to_end(mpirun(4), kPeers + Words{"--topology.name", "mpi_allreduce"}, folder / "mpi");
  EXPECT_NEAR(mpi.at("final_test_accuracy"), ring.at("final_test_accuracy"), 0.01);
  EXPECT_NEAR(mpi.at("bytes_up"), ring.at("bytes_up"), 64.0);
}

TEST(Peers, WithoutCommonRoundsTheyComeToAModelEverywhere) {
  for (const char* method : {"pairwise", "go_sgd"}) {
    const TemporaryFolder folder;
    const Words keys{"--data.clients",
                     "4",
                     "--model.name",
                     "logistic",
                     "--run.rounds",
                     "30",
                     "--run.eval_every",
                     "10",
                     "--topology.name",
                     "gossip",
                     "--sync.mode",
                     "async",
                     "--topology.gossip.method",
                     method,
                     "-q"};
    const double simulated =
        run_to_end({kProgram, "simulate"}, keys, folder / "simulate").at("final_test_accuracy");
    EXPECT_GT(simulated, 0.5) << method;
    const auto mpi = run_to_end(mpirun(3), keys, folder / "mpi");
    EXPECT_NEAR(mpi.at("final_test_accuracy"), simulated, 0.1) << method;
    EXPECT_EQ(mpi.at("rounds"), 30);
    Fleet fleet(keys, folder);
    EXPECT_NEAR(fleet.finish().at("final_test_accuracy"), simulated, 0.1) << method;
    fleet.expect_others_end(0);
  }
}

const Words kLong{
    "--data.clients", "4", "--model.name", "mlp", "--run.rounds", "100000", "--run.seed", "5", "-q"};

TEST(Peers, TooFewPeersEndTheRunAndAreNamed) {
  const TemporaryFolder folder;
  Fleet fleet(kLong + Words{"--topology.name", "gossip", "--cohort.min_size", "4"}, folder);
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.root().output();
  fleet.client(1).signal(SIGKILL);
  fleet.finish(3);
  EXPECT_THAT(fleet.root().output(), HasSubstr("client 1"));
  for (const int k : {0, 2, 3}) Fleet::expect_end(fleet.client(k), 3);
}

TEST(Peers, ASignalToTheServerEndsTheRunCleanly) {
  for (const char* topology : {"ring", "gossip"}) {
    const TemporaryFolder folder;
    Fleet fleet(kLong + Words{"--topology.name", topology}, folder);
    ASSERT_TRUE(fleet.wait_for_rounds(3)) << fleet.root().output();
    fleet.root().signal(SIGTERM);
    EXPECT_EQ(fleet.finish().at("stopped_by"), "signal");
    fleet.expect_others_end(0);
  }
}

TEST(Peers, RefusalsAreOneLine) {
  const TemporaryFolder folder;
  std::ofstream(folder / "edges") << "0 1\n2 3\n";
  struct Case {
    Words words;
    std::string says;
  };
  const std::vector<Case> cases{
      {{"simulate", "--topology.name", "mpi_allreduce"}, "under mpirun only"},
      {{"server", "--topology.name", "mpi_allreduce"}, "under mpirun only"},
      {{"simulate", "--topology.name", "gossip", "--data.clients", "4", "--topology.graph",
        (folder / "edges").string()},
       "not connected"},
      {{"simulate", "--algorithm.name", "sync_sgd"},
       "use topology.name = ring, grouped_ring, all_to_all or mpi_allreduce"},
      {{"client", "--topology.name", "ring", "--client.listen", "tcp://0.0.0.0:*", "--security.insecure"},
       "client.listen"},
      {{"client", "--topology.name", "gossip", "--client.listen", "tcp://192.0.2.1:*"}, "security.insecure"},
  };
  for (const Case& one : cases) {
    Process process(Words{kProgram} + one.words, folder / "log");
    EXPECT_EQ(process.wait(kLimit), 2) << process.output();
    EXPECT_THAT(process.output(), HasSubstr(one.says));
    EXPECT_EQ(std::ranges::count(process.output(), '\n'), 1) << process.output();
  }
  Process job(mpirun(3) + Words{"--topology.name", "ring", "--data.clients", "4"}, folder / "log");
  EXPECT_EQ(job.wait(kLimit), 2) << job.output();
  EXPECT_THAT(job.output(), HasSubstr("give data.clients = 3"));
}

}  // namespace
}  // namespace gossamer::testing
