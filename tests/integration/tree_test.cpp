// A tree: the same model in one process, under mpirun and over ZeroMQ; and what happens when an aggregator or
// a client is killed.
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <memory>

#include "core/metrics.h"
#include "integration/runs.h"

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

std::string local_address() { return "tcp://127.0.0.1:" + std::to_string(free_port()); }

// A root, its aggregators and four clients. `parents`: of each aggregator the one above it, -1 for the root;
// `of_clients`: of each client its aggregator.
class Forest {
 public:
  Forest(const Words& keys, const TemporaryFolder& folder, const std::vector<int>& parents,
         const std::vector<int>& of_clients)
      : out_(folder / "zmq") {
    const std::string root = local_address();
    root_ = std::make_unique<Process>(
        Words{kProgram, "server"} + keys + Words{"--server.listen", root, "--run.out", out_.string()},
        folder / "root.log");
    std::vector<std::string> addresses;
    for (std::size_t j = 0; j < parents.size(); ++j) {
      addresses.push_back(local_address());
      const std::string& above = parents[j] < 0 ? root : addresses[static_cast<std::size_t>(parents[j])];
      aggregators_.push_back(
          std::make_unique<Process>(Words{kProgram, "server"} + keys +
                                        Words{"--server.id", std::to_string(j), "--server.connect", above,
                                              "--server.listen", addresses.back()},
                                    folder / ("aggregator" + std::to_string(j) + ".log")));
    }
    for (std::size_t k = 0; k < of_clients.size(); ++k) {
      clients_.push_back(
          std::make_unique<Process>(Words{kProgram, "client"} + keys +
                                        Words{"--client.id", std::to_string(k), "--server.connect",
                                              addresses[static_cast<std::size_t>(of_clients[k])]},
                                    folder / ("client" + std::to_string(k) + ".log")));
    }
  }

  // Until the run has recorded so many rounds; false where its root ended before.
  bool wait_for_rounds(std::int64_t rounds) {
    const auto end = std::chrono::steady_clock::now() + kLimit;
    while (std::chrono::steady_clock::now() < end) {
      if (std::filesystem::exists(out_ / "metrics.jsonl") &&
          std::ssize(read_metrics(out_ / "metrics.jsonl")) >= rounds)
        return true;
      if (root_->wait(std::chrono::milliseconds(20))) return false;
    }
    return false;
  }
  nlohmann::json finish(int expected = 0) { return testing::finish(*root_, out_, expected); }
  static void expect_end(Process& process, int expected) {
    EXPECT_EQ(process.wait(kLimit), expected) << process.output();
  }
  Process& aggregator(int j) { return *aggregators_[static_cast<std::size_t>(j)]; }
  Process& client(int k) { return *clients_[static_cast<std::size_t>(k)]; }
  Process& root() { return *root_; }
  const std::filesystem::path& out() const { return out_; }
  void expect_all_end(int expected) {
    for (const auto& process : aggregators_) expect_end(*process, expected);
    for (const auto& process : clients_) expect_end(*process, expected);
  }

 private:
  std::filesystem::path out_;
  std::unique_ptr<Process> root_;
  std::vector<std::unique_ptr<Process>> aggregators_, clients_;
};

struct Shape {
  std::string name, fanout;
  std::vector<int> parents, of_clients;
  Words keys;
};

class TreeInThreePlaces : public ::testing::TestWithParam<Shape> {};

TEST_P(TreeInThreePlaces, GivesTheSameModelAndTheSameBytes) {
  const TemporaryFolder folder;
  const Words keys = kTree + Words{"--topology.tree.fanout", GetParam().fanout} + GetParam().keys;
  const Outcome simulated = outcome_of(run_to_end({kProgram, "simulate"}, keys, folder / "simulate"));
  EXPECT_GT(simulated.up, 0U);
  EXPECT_EQ(outcome_of(run_to_end(mpirun(3), keys, folder / "mpi")), simulated);
  Forest forest(keys, folder, GetParam().parents, GetParam().of_clients);
  EXPECT_EQ(outcome_of(forest.finish()), simulated);
  forest.expect_all_end(0);
}

INSTANTIATE_TEST_SUITE_P(
    Every, TreeInThreePlaces,
    ::testing::Values(Shape{"OneLevel", "2", {-1, -1}, {0, 0, 1, 1}, {}},
                      Shape{"TwoLevels", "1,2", {-1, 0, 0}, {1, 1, 2, 2}, {"--topology.tree.rounds", "2"}},
                      Shape{"Filtered", "2", {-1, -1}, {0, 0, 1, 1}, {"--topology.tree.filter", "gaia"}}),
    [](const auto& tested) { return tested.param.name; });

const Words kLong{
    "--topology.tree.fanout",    "2", "--run.rounds",     "100000", "--server.client_timeout_s", "2",
    "--client.server_timeout_s", "5", "--run.eval_every", "1",      "--client.local_epochs",     "1"};

TEST(TreeOverZmq, GoesOnWithoutAnAggregatorThatIsKilled) {
  const TemporaryFolder folder;
  Forest forest(kTree + kLong, folder, {-1, -1}, {0, 0, 1, 1});
  ASSERT_TRUE(forest.wait_for_rounds(2)) << forest.root().output();
  forest.aggregator(0).signal(SIGKILL);
  const auto had = std::ssize(read_metrics(forest.out() / "metrics.jsonl"));
  ASSERT_TRUE(forest.wait_for_rounds(had + 3)) << forest.root().output();
  EXPECT_EQ(read_metrics(forest.out() / "metrics.jsonl").back().clients, 2);
  for (int k = 0; k < 2; ++k) Forest::expect_end(forest.client(k), 3);
  forest.root().signal(SIGTERM);
  EXPECT_EQ(forest.finish().at("stopped_by"), "signal");
  Forest::expect_end(forest.aggregator(1), 0);
  for (int k = 2; k < 4; ++k) Forest::expect_end(forest.client(k), 0);
}

TEST(TreeOverZmq, EndsWithTheNamesWhereNoAggregatorIsLeft) {
  const TemporaryFolder folder;
  Forest forest(kTree + kLong, folder, {-1, -1}, {0, 0, 1, 1});
  ASSERT_TRUE(forest.wait_for_rounds(2)) << forest.root().output();
  forest.aggregator(0).signal(SIGKILL);
  forest.aggregator(1).signal(SIGKILL);
  const std::string stopped_by = forest.finish(3).at("stopped_by");
  EXPECT_THAT(stopped_by, HasSubstr("aggregator 0 ("));
  EXPECT_THAT(stopped_by, HasSubstr("aggregator 1 ("));
  for (int k = 0; k < 4; ++k) Forest::expect_end(forest.client(k), 3);
}

TEST(TreeOverZmq, GoesOnWithoutAClientThatIsKilled) {
  const TemporaryFolder folder;
  Forest forest(kTree + kLong, folder, {-1, -1}, {0, 0, 1, 1});
  ASSERT_TRUE(forest.wait_for_rounds(2)) << forest.root().output();
  forest.client(3).signal(SIGKILL);
  const auto had = std::ssize(read_metrics(forest.out() / "metrics.jsonl"));
  ASSERT_TRUE(forest.wait_for_rounds(had + 3)) << forest.root().output();
  EXPECT_EQ(read_metrics(forest.out() / "metrics.jsonl").back().clients, 3);
  forest.root().signal(SIGTERM);
  EXPECT_EQ(forest.finish().at("stopped_by"), "signal");
  for (int k = 0; k < 3; ++k) Forest::expect_end(forest.client(k), 0);
}

TEST(TreeOverZmq, AClientAtTheWrongAggregatorIsRefused) {
  const TemporaryFolder folder;
  Forest forest(kTree + kLong, folder, {-1, -1}, {0, 1, 1, 1});
  EXPECT_EQ(forest.client(1).wait(kLimit), 2);
  EXPECT_THAT(forest.client(1).output(), HasSubstr("client 2 to client 3"));
}

}  // namespace
}  // namespace gossamer::testing
