// One configuration and one seed in one process, under mpirun and over ZeroMQ: the same model, bit for bit,
// and the same bytes.
#include "integration/fleet.h"

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

Outcome over_zmq(const Words& keys, const TemporaryFolder& folder) {
  Fleet fleet(keys, folder);
  const Outcome outcome = outcome_of(fleet.finish());
  fleet.expect_others_end(0);
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
  for (const int ranks : {1, 3, 4, 6}) {  // with six, two train nothing
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
  EXPECT_EQ(over_zmq(kFederation, folder), simulated);
}

// What comes later is the same, and each round takes at least so many ways from one process to another.
TEST(ThreeWays, AnEmulatedLatencyTakesTimeAndChangesNothing) {
  constexpr double kLatency = 0.04;
  const Words short_ones{
      "--data.clients", "3", "--run.rounds", "5", "--run.eval_every", "5", "--run.seed", "5", "-q"};
  const Words distance{"--network.emulated_latency_ms", "40"};
  struct Case {
    std::string name;
    Words keys;
    double ways;  // a round
  };
  const std::vector<Case> cases{{"server", {"--cohort.fraction", "1", "--model.name", "mlp"}, 2},
                                {"ring", {"--topology.name", "ring", "--model.name", "mlp"}, 1},
                                {"gossip", {"--topology.name", "gossip", "--model.name", "logistic"}, 1}};
  for (const auto& [name, keys, ways] : cases) {
    const TemporaryFolder folder;
    const Words all = short_ones + keys;
    const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, all, folder / "simulate"));
    const auto expect = [&](const nlohmann::json& summary) {
      EXPECT_EQ(outcome_of(summary), simulated) << name;
      EXPECT_GE(summary.at("time_s").get<double>(), 5 * ways * kLatency) << name;
    };
    expect(run_to_end(mpirun(3), all + distance, folder / "mpi"));
    Fleet fleet(all + distance, folder, {3, {}, {}});
    expect(fleet.finish());
    fleet.expect_others_end(0);
  }
}

// Server and clients are stopped and started again; these have what they left out in folders of their own.
TEST(ThreeWays, AFleetGoesOnWithItsResiduals) {
  const TemporaryFolder folder;
  const Words common{"--data.clients",
                     "3",
                     "--cohort.fraction",
                     "1",
                     "--model.name",
                     "mlp",
                     "--run.eval_every",
                     "50000",
                     "--client.lr",
                     "0.05",
                     "-q",
                     "--compression.up",
                     "top_k",
                     "--server.checkpoint_every",
                     "50",
                     "--client.state_dir",
                     (folder / "states").string()};
  std::int64_t rounds = 0;
  {
    Fleet fleet(common + Words{"--run.rounds", "50000"}, folder, {3, {}, {}});
    ASSERT_TRUE(fleet.wait_for_rounds(6)) << fleet.root().output();
    fleet.root().signal(SIGTERM);
    rounds = fleet.finish().at("rounds");
    fleet.expect_others_end(0);
  }
  const Words whole = common + Words{"--run.rounds", std::to_string(rounds + 5)};
  Fleet fleet(whole + Words{"--run.resume"}, folder, {3, {}, {}});
  const auto resumed = outcome_of(fleet.finish());
  fleet.expect_others_end(0);
  EXPECT_EQ(resumed, outcome_of(run_to_end({kProgram, "simulate"}, whole, folder / "straight")));
}

// Compressed updates, and what their senders keep of them, in all three places; and models.
TEST(ThreeWays, Compression) {
  const Words common{"--data.clients",
                     "4",
                     "--cohort.fraction",
                     "1",
                     "--model.name",
                     "mlp",
                     "--run.rounds",
                     "5",
                     "--run.eval_every",
                     "5",
                     "--client.lr",
                     "0.05",
                     "-q"};
  const std::vector<Words> ways{
      {"--compression.up", "one_bit", "--compression.down", "fp16"},
      {"--compression.up", "top_k", "--server.shards", "2"},
      {"--compression.up", "qsgd", "--compression.down", "int8"},
      {"--compression.up", "terngrad", "--compression.error_feedback", "on"},
      {"--compression.up", "one_bit", "--compression.down", "top_k"},
      {"--compression.up", "qsgd", "--compression.down", "terngrad"},
      {"--compression.up", "int8", "--topology.name", "tree", "--topology.tree.fanout", "2"},
      // Whatever rounds take, the two shortest methods are tried in these.
      {"--compression.up", "auto", "--compression.auto.rounds", "2", "--compression.down", "fp16"},
      {"--compression.down", "one_bit", "--topology.name", "tree", "--topology.tree.fanout", "2"},
      {"--compression.down", "qsgd", "--server.shards", "2"},
  };
  for (const Words& way : ways) {
    const TemporaryFolder folder;
    const Words keys = common + way;
    const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, keys, folder / "simulate"));
    EXPECT_EQ(outcome_of(run_to_end(mpirun(3), keys, folder / "mpi")), simulated) << way[1];
    const bool has_one_server = way.back() != "2";
    if (has_one_server) {
      EXPECT_EQ(over_zmq(keys, folder), simulated) << way[1];
    }
  }
}

// Noise from a seed, in all three places: of clients, and of the server.
TEST(ThreeWays, Privacy) {
  const Words common{"--data.clients",
                     "4",
                     "--model.name",
                     "mlp",
                     "--run.rounds",
                     "3",
                     "--privacy.mechanism",
                     "gaussian",
                     "--privacy.clip_norm",
                     "1",
                     "--privacy.noise_multiplier",
                     "0.5",
                     "--privacy.insecure_seed",
                     "9",
                     "-q"};
  const std::vector<Words> ways{
      {"--privacy.placement", "client", "--cohort.fraction", "1"},
      {"--privacy.placement", "central", "--cohort.sampler", "poisson", "--cohort.fraction", "0.6"},
      {"--privacy.placement", "central", "--cohort.fraction", "1", "--compression.up", "qsgd",
       "--privacy.clipping", "adaptive", "--privacy.adaptive.bit_noise", "2"},
      {"--privacy.placement", "client", "--topology.name", "ring", "--compression.up", "one_bit"},
  };
  for (const Words& way : ways) {
    const TemporaryFolder folder;
    const Words keys = common + way;
    const nlohmann::json simulated = run_to_end({kProgram, "simulate"}, keys, folder / "simulate");
    const nlohmann::json ranks = run_to_end(mpirun(4), keys, folder / "mpi");
    Fleet fleet(keys, folder);
    const nlohmann::json processes = fleet.finish();
    fleet.expect_others_end(0);
    for (const nlohmann::json* other : {&ranks, &processes}) {
      EXPECT_EQ(outcome_of(*other), outcome_of(simulated)) << way[1] << ' ' << way[3];
      EXPECT_EQ(other->at("epsilon"), simulated.at("epsilon")) << way[1] << ' ' << way[3];
    }
    EXPECT_GT(simulated.at("epsilon").get<double>(), 0);
  }
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
  EXPECT_EQ(over_zmq(keys, folder), simulated);
}

}  // namespace
}  // namespace gossamer::testing
