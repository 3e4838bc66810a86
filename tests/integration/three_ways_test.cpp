// One configuration and one seed in one process, under mpirun and over ZeroMQ: the same model, bit for bit,
// and the same bytes.
#include <memory>

#include "integration/runs.h"

namespace gossamer::testing {
namespace {

const Words kFederation{"--data.clients",
                        "4",
                        "--cohort.fraction",
                        "1",
                        "--model.name",
                        "mlp",
                        "--run.rounds",
                        "4",
                        "--client.local_epochs",
                        "2",
                        "--run.seed",
                        "5",
                        "--server.optimizer",
                        "momentum",
                        "--compression.up",
                        "none",
                        "-q"};

Outcome over_zmq(const Words& keys, const TemporaryFolder& folder, int clients) {
  const std::string address = "tcp://127.0.0.1:" + std::to_string(free_port());
  Process server(Words{kProgram, "server"} + keys +
                     Words{"--server.listen", address, "--run.out", (folder / "zmq").string()},
                 folder / "server.log");
  std::vector<std::unique_ptr<Process>> fleet;
  for (int k = 0; k < clients; ++k) {
    fleet.push_back(
        std::make_unique<Process>(Words{kProgram, "client"} + keys +
                                      Words{"--server.connect", address, "--client.id", std::to_string(k)},
                                  folder / ("client" + std::to_string(k) + ".log")));
  }
  const Outcome outcome = outcome_of(finish(server, folder / "zmq"));
  for (const auto& client : fleet) EXPECT_EQ(client->wait(kLimit), 0) << client->output();
  return outcome;
}

TEST(ThreeWays, OneThreadAndTwo) {
  const TemporaryFolder folder;
  const Outcome one =
      outcome_of(run_to_end({kProgram, "simulate", "--run.threads", "1"}, kFederation, folder / "one"));
  const Outcome two =
      outcome_of(run_to_end({kProgram, "simulate", "--run.threads", "2"}, kFederation, folder / "two"));
  EXPECT_EQ(one, two);
}

TEST(ThreeWays, SimulationAndMpi) {
  const TemporaryFolder folder;
  const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, kFederation, folder / "simulate"));
  for (const int ranks : {1, 3, 4}) {
    const std::string name = "mpi" + std::to_string(ranks);
    EXPECT_EQ(outcome_of(run_to_end(mpirun(ranks), kFederation, folder / name)), simulated) << name;
  }
  const Outcome apart = outcome_of(
      run_to_end(mpirun(3), kFederation + Words{"--train.coordinator_trains", "false"}, folder / "apart"));
  EXPECT_EQ(apart, simulated);
}

TEST(ThreeWays, SimulationAndZmq) {
  const TemporaryFolder folder;
  const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, kFederation, folder / "simulate"));
  EXPECT_EQ(over_zmq(kFederation, folder, 4), simulated);
}

// Clients that keep a state, in all three places.
TEST(ThreeWays, ElasticAveraging) {
  const TemporaryFolder folder;
  const Words keys{"--data.clients",
                   "4",
                   "--algorithm.name",
                   "eamsgd",
                   "--algorithm.eamsgd.momentum",
                   "0.9",
                   "--client.local_steps",
                   "7",
                   "--client.lr",
                   "0.01",
                   "--run.rounds",
                   "4",
                   "--model.name",
                   "logistic",
                   "-q"};
  const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, keys, folder / "simulate"));
  EXPECT_EQ(outcome_of(run_to_end(mpirun(3), keys, folder / "mpi")), simulated);
  EXPECT_EQ(over_zmq(keys, folder, 4), simulated);
}

}  // namespace
}  // namespace gossamer::testing
