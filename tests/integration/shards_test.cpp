// A server in several shards: the same model in one process, under mpirun and over ZeroMQ, whatever their
// number; and what happens when a shard or a client is killed.
#include <gmock/gmock.h>

#include <csignal>
#include <filesystem>
#include <memory>
#include <sstream>

#include "core/metrics.h"
#include "integration/fleet.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

const Words kKeys{"--data.clients",
                  "4",
                  "--cohort.fraction",
                  "1",
                  "--model.name",
                  "mlp",
                  "--run.rounds",
                  "4",
                  "--server.optimizer",
                  "yogi",
                  "--run.seed",
                  "5",
                  "-q"};

Words shards(int count) { return {"--server.shards", std::to_string(count)}; }

// Shard 0, the others and four clients, which know shard 0 alone.
class Sharded {
 public:
  Sharded(const Words& keys, const TemporaryFolder& folder, int count, bool numbered = true)
      : out_(folder / "zmq") {
    const Words all = keys + shards(count);
    const std::string& address = address_;
    processes_.push_back(std::make_unique<Process>(
        Words{kProgram, "server"} + all + Words{"--server.listen", address, "--run.out", out_.string()},
        folder / "shard0.log"));
    for (int s = 1; s < count; ++s) {
      processes_.push_back(
          std::make_unique<Process>(Words{kProgram, "server"} + all +
                                        Words{"--server.id", std::to_string(s), "--server.connect", address,
                                              "--server.listen", "tcp://127.0.0.1:*"},
                                    folder / ("shard" + std::to_string(s) + ".log")));
    }
    for (int k = 0; k < 4; ++k) {
      clients_.push_back(std::make_unique<Process>(
          Words{kProgram, "client"} + all +
              Words{"--client.id", std::to_string(numbered ? k : -1), "--server.connect", address},
          folder / ("client" + std::to_string(k) + ".log")));
    }
  }

  bool wait_for_rounds(std::int64_t rounds) { return testing::wait_for_rounds(*processes_[0], out_, rounds); }
  std::int64_t rounds() const { return recorded_rounds(out_); }
  nlohmann::json finish(int expected = 0) { return testing::finish(*processes_[0], out_, expected); }
  Process& shard(int s) { return *processes_[static_cast<std::size_t>(s)]; }
  Process& client(int k) { return *clients_[static_cast<std::size_t>(k)]; }
  const std::filesystem::path& out() const { return out_; }
  const std::string& address() const { return address_; }

 private:
  std::filesystem::path out_;
  const std::string address_ = "tcp://127.0.0.1:" + std::to_string(free_port());
  std::vector<std::unique_ptr<Process>> processes_, clients_;
};

class ShardsInThreePlaces : public ::testing::TestWithParam<int> {};

TEST_P(ShardsInThreePlaces, GiveTheSingleServersModelAndTheSameBytes) {
  const TemporaryFolder folder;
  const int count = GetParam();
  const Outcome single = outcome_of(run_to_end({kProgram, "simulate"}, kKeys, folder / "single"));
  const Outcome simulated =
      outcome_of(run_to_end({kProgram, "simulate"}, kKeys + shards(count), folder / "simulate"));
  EXPECT_EQ(simulated.sha, single.sha);
  const auto headers = static_cast<std::uint64_t>(4 * 4 * 96 * (count - 1));
  EXPECT_EQ(simulated.up, single.up + headers);
  EXPECT_EQ(simulated.down, single.down + headers);
  EXPECT_EQ(outcome_of(run_to_end(mpirun(count), kKeys + shards(count), folder / "mpi")), simulated);
  EXPECT_EQ(outcome_of(run_to_end(mpirun(count + 2),
                                  kKeys + shards(count) + Words{"--train.coordinator_trains", "false"},
                                  folder / "apart")),
            simulated);
  Sharded fleet(kKeys, folder, count, count != 3);  // or they ask for their ids
  EXPECT_EQ(outcome_of(fleet.finish()), simulated);
  for (int s = 1; s < count; ++s) Fleet::expect_end(fleet.shard(s), 0);
  for (int k = 0; k < 4; ++k) Fleet::expect_end(fleet.client(k), 0);
}

TEST(ShardsWithDifferences, GiveTheSameModelAndTheSameBytes) {
  const TemporaryFolder folder;
  const Words keys = kKeys + Words{"--compression.down", "one_bit"};
  const Outcome simulated =
      outcome_of(run_to_end({kProgram, "simulate"}, keys + shards(2), folder / "simulate"));
  EXPECT_EQ(outcome_of(run_to_end(mpirun(2), keys + shards(2), folder / "mpi")), simulated);
  Sharded fleet(keys, folder, 2, true);
  EXPECT_EQ(outcome_of(fleet.finish()), simulated);
}

INSTANTIATE_TEST_SUITE_P(Of, ShardsInThreePlaces, ::testing::Values(1, 2, 3, 4),
                         [](const auto& tested) { return std::to_string(tested.param); });

struct Way {
  std::string name;
  Words keys;
};

class ShardsWithEveryMode : public ::testing::TestWithParam<Way> {};

TEST_P(ShardsWithEveryMode, TrainOverBothTransports) {
  const TemporaryFolder folder;
  const Words keys = kKeys + GetParam().keys + Words{"--run.rounds", "8"};
  EXPECT_EQ(run_to_end(mpirun(3), keys + shards(2), folder / "mpi").at("stopped_by"), "rounds");
  Sharded fleet(keys, folder, 3);
  EXPECT_EQ(fleet.finish().at("stopped_by"), "rounds");
  for (int s = 1; s < 3; ++s) Fleet::expect_end(fleet.shard(s), 0);
  for (int k = 0; k < 4; ++k) Fleet::expect_end(fleet.client(k), 0);
}

INSTANTIATE_TEST_SUITE_P(
    Of, ShardsWithEveryMode,
    ::testing::Values(Way{"Ssp", {"--sync.mode", "ssp"}}, Way{"Async", {"--sync.mode", "async"}},
                      Way{"Buffered", {"--sync.mode", "buffered"}},
                      Way{"Backups", {"--cohort.fraction", "0.5", "--sync.backup_workers", "1"}},
                      Way{"Elastic",
                          {"--algorithm.name", "easgd", "--sync.mode", "async", "--client.local_steps", "5",
                           "--server.optimizer", "sgd"}}),
    [](const auto& tested) { return tested.param.name; });

const Words kLong{
    "--run.rounds",     "100000", "--server.client_timeout_s", "2", "--client.server_timeout_s", "10",
    "--run.eval_every", "1",      "--client.local_epochs",     "1"};

TEST(ShardsOverZmq, EndWithTheNameOfAShardThatIsKilled) {
  for (const char* mode : {"bsp", "async"}) {
    const TemporaryFolder folder;
    Sharded fleet(kKeys + kLong + Words{"--sync.mode", mode, "--run.eval_every", "1"}, folder, 3);
    ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.shard(0).output();
    fleet.shard(1).signal(SIGKILL);
    EXPECT_THAT(fleet.finish(3).at("stopped_by"), HasSubstr("shard 1 at tcp://"));
    EXPECT_THAT(fleet.shard(0).output(), HasSubstr("shard 1 at tcp://"));
    Fleet::expect_end(fleet.shard(2), 3);
    for (int k = 0; k < 4; ++k) Fleet::expect_end(fleet.client(k), 3);
    EXPECT_TRUE(std::filesystem::exists(fleet.out() / "model.pt"));
  }
}

TEST(ShardsOverZmq, EndWhereTheFirstIsKilled) {
  const TemporaryFolder folder;
  Sharded fleet(kKeys + kLong, folder, 2);
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.shard(0).output();
  fleet.shard(0).signal(SIGKILL);
  Fleet::expect_end(fleet.shard(1), 3);
  for (int k = 0; k < 4; ++k) Fleet::expect_end(fleet.client(k), 3);
}

TEST(ShardsOverZmq, GoOnWithoutClientsThatAreKilled) {
  for (const char* mode : {"bsp", "ssp", "async"}) {
    const TemporaryFolder folder;
    const Words keys = kKeys + kLong + Words{"--sync.mode", mode};
    Sharded fleet(keys, folder, 3);
    ASSERT_TRUE(fleet.wait_for_rounds(3)) << fleet.shard(0).output();
    fleet.client(1).signal(SIGKILL);
    fleet.client(2).signal(SIGKILL);
    ASSERT_TRUE(fleet.wait_for_rounds(fleet.rounds() + 5)) << fleet.shard(0).output();
    if (std::string(mode) == "bsp") {
      EXPECT_EQ(read_metrics(fleet.out() / "metrics.jsonl").back().clients, 2);
    }
    fleet.shard(0).signal(SIGTERM);
    EXPECT_EQ(fleet.finish().at("stopped_by"), "signal");
    for (int s = 1; s < 3; ++s) Fleet::expect_end(fleet.shard(s), 0);
    for (const int k : {0, 3}) Fleet::expect_end(fleet.client(k), 0);
  }
}

TEST(ShardsOverMpi, AfterSigkillTheModelIsThatOfAnUninterruptedRun) {
  const TemporaryFolder folder;
  const Words keys =
      kKeys + shards(2) +
      Words{"--run.rounds", "40", "--server.checkpoint_every", "3", "--client.local_epochs", "2"};
  const auto straight = run_to_end({kProgram, "simulate"}, keys, folder / "straight");
  const auto out = folder / "killed";
  Process job(mpirun(3) + keys + Words{"--run.out", out.string()}, folder / "killed.log");
  const auto end = std::chrono::steady_clock::now() + kLimit;
  while (std::chrono::steady_clock::now() < end && !job.wait(std::chrono::milliseconds(10))) {
    if (std::filesystem::exists(out / "metrics.jsonl") &&
        std::ssize(read_metrics(out / "metrics.jsonl")) >= 5)
      break;
  }
  // Rank 1, which holds shard 1: mpirun starts its ranks in order.
  const std::string id = std::to_string(job.id());
  std::istringstream children(read_file("/proc/" + id + "/task/" + id + "/children"));
  pid_t first = 0, second = 0;
  children >> first >> second;
  ASSERT_GT(second, 0) << job.output();
  kill(second, SIGKILL);
  const auto code = job.wait(kLimit);
  ASSERT_TRUE(code.has_value()) << "mpirun did not end the job";
  EXPECT_NE(*code, 0);
  ASSERT_LT(std::ssize(read_metrics(out / "metrics.jsonl")), 40);
  const auto resumed = run_to_end(mpirun(3) + Words{"--run.resume"}, keys, out);
  EXPECT_EQ(resumed.at("model_sha256"), straight.at("model_sha256"));
  EXPECT_EQ(resumed.at("bytes_up"), straight.at("bytes_up"));
}

TEST(ShardsOverMpi, TooFewRanksAreRefused) {
  const TemporaryFolder folder;
  Process job(mpirun(2) + kKeys + shards(3) + Words{"--run.out", (folder / "run").string()}, folder / "log");
  EXPECT_NE(job.wait(kLimit).value_or(0), 0);
  EXPECT_THAT(job.output(), HasSubstr("start at least 3 with mpirun -n"));
}

TEST(ShardsOverZmq, AClientThatExpectsAnotherNumberIsRefused) {
  const TemporaryFolder folder;
  Sharded fleet(kKeys + kLong, folder, 2);
  const Words words{"--client.id", "0", "--server.shards", "3", "--server.connect"};
  ASSERT_TRUE(fleet.wait_for_rounds(1)) << fleet.shard(0).output();
  Process other(Words{kProgram, "client"} + kKeys + kLong + words + Words{fleet.address()},
                folder / "other.log");
  EXPECT_EQ(other.wait(kLimit), 2) << other.output();
  EXPECT_THAT(other.output(), HasSubstr("3 shards"));
  fleet.shard(0).signal(SIGTERM);
  EXPECT_EQ(fleet.finish().at("stopped_by"), "signal");
}

}  // namespace
}  // namespace gossamer::testing
