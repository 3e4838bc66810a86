// Peers without a server: the same model in one process, under mpirun and over ZeroMQ; and what happens when
// one of them is killed.
#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>

#include "core/metrics.h"
#include "integration/runs.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

const Words kPeers{
    "--data.clients", "4", "--model.name", "mlp", "--run.rounds", "4", "--run.seed", "5", "-q"};

// A server and its peers.
class Fleet {
 public:
  Fleet(const Words& keys, const TemporaryFolder& folder, int peers = 4,
        const std::string& address = "tcp://127.0.0.1:" + std::to_string(free_port()))
      : out_(folder / "zmq"),
        server_(
            Words{kProgram, "server"} + keys + Words{"--server.listen", address, "--run.out", out_.string()},
            folder / "server.log") {
    for (int k = 0; k < peers; ++k) {
      peers_.push_back(
          std::make_unique<Process>(Words{kProgram, "client"} + keys +
                                        Words{"--server.connect", address, "--client.id", std::to_string(k)},
                                    folder / ("client" + std::to_string(k) + ".log")));
    }
  }

  nlohmann::json finish(int expected = 0) {
    const auto code = server_.wait(kLimit);
    EXPECT_EQ(code, expected) << server_.output();
    const std::string summary = read_file(out_ / "summary.json");
    EXPECT_FALSE(summary.empty()) << server_.output();
    return summary.empty() ? nlohmann::json::object() : nlohmann::json::parse(summary);
  }
  void expect_peers_end(int expected, int except = -1) {
    for (int k = 0; k < static_cast<int>(peers_.size()); ++k) {
      if (k == except) continue;
      EXPECT_EQ(peer(k).wait(kLimit), expected) << k << ": " << peer(k).output();
    }
  }
  // Until the run has recorded so many rounds; false where its server ended before.
  bool wait_for_rounds(std::int64_t rounds) {
    const auto end = std::chrono::steady_clock::now() + kLimit;
    while (std::chrono::steady_clock::now() < end) {
      if (std::filesystem::exists(out_ / "metrics.jsonl") &&
          std::ssize(read_metrics(out_ / "metrics.jsonl")) >= rounds)
        return true;
      if (server_.wait(std::chrono::milliseconds(20))) return false;
    }
    return false;
  }
  Process& peer(int k) { return *peers_[static_cast<std::size_t>(k)]; }
  Process& server() { return server_; }
  const std::filesystem::path& out() const { return out_; }

 private:
  std::filesystem::path out_;
  Process server_;
  std::vector<std::unique_ptr<Process>> peers_;
};

Outcome over_zmq(const Words& keys, const TemporaryFolder& folder) {
  Fleet fleet(keys, folder);
  const Outcome outcome = outcome_of(fleet.finish());
  fleet.expect_peers_end(0);
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
        Lockstep{"d_psgd", {"--topology.name", "gossip"}, true},
        Lockstep{"d_psgd_overlap",
                 {"--topology.name", "gossip", "--topology.gossip.overlap", "--topology.graph", "complete"},
                 true},
        Lockstep{"pairwise", {"--topology.name", "gossip", "--topology.gossip.method", "pairwise"}, true}),
    [](const auto& tested) { return tested.param.name; });

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
    fleet.expect_peers_end(0);
  }
}

const Words kLong{
    "--data.clients", "4", "--model.name", "mlp", "--run.rounds", "100000", "--run.seed", "5", "-q"};

TEST(Peers, ASumThatLosesAPeerEndsAndSaysWhom) {
  for (const char* topology : {"ring", "all_to_all"}) {
    const TemporaryFolder folder;
    Fleet fleet(kLong + Words{"--topology.name", topology}, folder);
    ASSERT_TRUE(fleet.wait_for_rounds(3)) << fleet.server().output();
    fleet.peer(2).signal(SIGKILL);
    fleet.finish(3);
    EXPECT_THAT(fleet.server().output(), HasSubstr("client 2 is lost"));
    fleet.expect_peers_end(3, 2);
    for (const int k : {0, 1, 3}) EXPECT_THAT(fleet.peer(k).output(), HasSubstr("client 2 is lost")) << k;
  }
}

TEST(Peers, GossipGoesOnWithoutAKilledPeer) {
  const std::vector<Words> all{
      {"--topology.name", "gossip"},
      {"--topology.name", "gossip", "--topology.gossip.method", "pairwise"},
      {"--topology.name", "gossip", "--sync.mode", "async"},
      {"--topology.name", "gossip", "--sync.mode", "async", "--topology.gossip.method", "go_sgd"}};
  for (const Words& keys : all) {
    const TemporaryFolder folder;
    Fleet fleet(kLong + keys + Words{"--run.rounds", "60", "--topology.graph", "complete"}, folder);
    ASSERT_TRUE(fleet.wait_for_rounds(3)) << fleet.server().output();
    fleet.peer(2).signal(SIGKILL);
    EXPECT_EQ(fleet.finish().at("rounds"), 60);
    fleet.expect_peers_end(0, 2);
    const auto rounds = read_metrics(fleet.out() / "metrics.jsonl");
    EXPECT_EQ(rounds.back().clients, 3);
  }
}

TEST(Peers, TooFewPeersEndTheRunAndAreNamed) {
  const TemporaryFolder folder;
  Fleet fleet(kLong + Words{"--topology.name", "gossip", "--cohort.min_size", "4"}, folder);
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.server().output();
  fleet.peer(1).signal(SIGKILL);
  fleet.finish(3);
  EXPECT_THAT(fleet.server().output(), HasSubstr("client 1"));
  fleet.expect_peers_end(3, 1);
}

TEST(Peers, ALostServerEndsThePeers) {
  const TemporaryFolder folder;
  Fleet fleet(kLong + Words{"--topology.name", "ring"}, folder);
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.server().output();
  fleet.server().signal(SIGKILL);
  fleet.expect_peers_end(3);
  EXPECT_THAT(fleet.peer(0).output(), HasSubstr("the server is lost"));
}

TEST(Peers, ASignalToTheServerEndsTheRunCleanly) {
  for (const char* topology : {"ring", "gossip"}) {
    const TemporaryFolder folder;
    Fleet fleet(kLong + Words{"--topology.name", topology}, folder);
    ASSERT_TRUE(fleet.wait_for_rounds(3)) << fleet.server().output();
    fleet.server().signal(SIGTERM);
    EXPECT_EQ(fleet.finish().at("stopped_by"), "signal");
    fleet.expect_peers_end(0);
  }
}

// Open MPI ends the job with a rank; what was saved goes on to the model of a run without interruption.
TEST(Peers, AKilledRankEndsTheJobWhichResumes) {
  for (const char* topology : {"ring", "gossip"}) {
    const TemporaryFolder folder;
    const Words keys = kLong + Words{"--topology.name",           topology, "--run.rounds", "40",
                                     "--server.checkpoint_every", "5",      "--run.resume"};
    const auto straight = run_to_end({kProgram, "simulate"}, keys, folder / "straight");
    const auto out = folder / "run";
    Process job(mpirun(4) + keys + Words{"--run.out", out.string()}, folder / "job.log");
    const auto saved = [&] {
      return std::filesystem::exists(out / "checkpoint") && !std::filesystem::is_empty(out / "checkpoint");
    };
    while (!saved() && !job.wait(std::chrono::milliseconds(5))) {
    }
    // A rank that is not the first: the youngest process that mpirun started.
    const std::string children =
        read_file("/proc/" + std::to_string(job.id()) + "/task/" + std::to_string(job.id()) + "/children");
    ASSERT_FALSE(children.empty());
    const auto last = children.find_last_not_of(' ');
    kill(std::stoi(children.substr(children.rfind(' ', last - 1) + 1)), SIGKILL);
    const auto code = job.wait(kLimit);
    ASSERT_TRUE(code) << "the job hangs";
    EXPECT_NE(code, 0);
    const auto resumed = run_to_end(mpirun(4), keys, out);
    EXPECT_EQ(resumed.at("model_sha256"), straight.at("model_sha256")) << topology;
    EXPECT_EQ(resumed.at("rounds"), 40);
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
