// kill -9 in the middle of a run, and processes that hang: in each topology and sync mode, of each kind of
// process. Over ZeroMQ the run goes on without it, or ends with exit code 3 and its name; under mpirun the
// job ends, and goes on from its checkpoint.
#include <gmock/gmock.h>

#include <algorithm>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <optional>
#include <set>

#include "core/checkpoint.h"
#include "integration/fleet.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

// Short training and a model of 0.8 MB: most of a round is exchange.
const Words kEndless{"--data.clients",
                     "4",
                     "--model.name",
                     "mlp",
                     "--run.rounds",
                     "1000000",
                     "--run.eval_every",
                     "1000000",
                     "--run.seed",
                     "5",
                     "--server.client_timeout_s",
                     "3",
                     "--client.server_timeout_s",
                     "6",
                     "-q"};
const Words kPlain{"--cohort.fraction", "1"};
const Words kTree{"--topology.name", "tree", "--cohort.fraction", "1"};
const Words kTwoLevels = kTree + Words{"--topology.tree.fanout", "2,2"};
const Words kGossip{"--topology.name", "gossip", "--topology.graph", "complete"};
const FleetShape kBelowTwo{4, {-1, -1}, {0, 0, 1, 1}};
// Aggregators 0 and 1 below the root, 2 to 5 below them, each with a client.
const FleetShape kBelowFour{4, {-1, -1, 0, 0, 1, 1}, {2, 3, 4, 5}};

struct Loss {
  std::string name;
  Words keys;
  FleetShape shape;
  std::string victim;  // "root", "aggregator 1" or "client 2"
  // Who cannot go on without it, and ends with exit code 3.
  std::set<std::string> orphans;
  // What all say where nobody can; empty where the run goes on.
  std::string end;
  // Of a run in lockstep that goes on: clients in a round.
  std::optional<int> left;
  int signal = SIGKILL;
};

void PrintTo(const Loss& loss, std::ostream* out) { *out << loss.victim; }

class Killed : public ::testing::TestWithParam<Loss> {};

Process& process_of(Fleet& fleet, const std::string& who) {
  const auto space = who.find(' ');
  if (space == std::string::npos) return fleet.root();
  const int number = std::stoi(who.substr(space));
  return who.starts_with("client") ? fleet.client(number) : fleet.aggregator(number);
}

std::vector<std::string> everybody(const Fleet& fleet) {
  std::vector<std::string> names{"root"};
  for (int j = 0; j < fleet.aggregators(); ++j) names.push_back("aggregator " + std::to_string(j));
  for (int k = 0; k < fleet.clients(); ++k) names.push_back("client " + std::to_string(k));
  return names;
}

TEST_P(Killed, IsDoneWithoutOrNamed) {
  const Loss& loss = GetParam();
  const TemporaryFolder folder;
  Fleet fleet(kEndless + loss.keys, folder, loss.shape);
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.root().output();
  process_of(fleet, loss.victim).signal(loss.signal);

  if (loss.victim == "root") {
    for (const std::string& who : everybody(fleet)) {
      if (who == "root") continue;
      Fleet::expect_end(process_of(fleet, who), 3);
      EXPECT_THAT(process_of(fleet, who).output(), HasSubstr(loss.end)) << who;
    }
  } else if (!loss.end.empty()) {
    EXPECT_THAT(fleet.finish(3).at("stopped_by"), HasSubstr(loss.end));
    for (const std::string& who : everybody(fleet)) {
      if (who == "root" || who == loss.victim) continue;
      Fleet::expect_end(process_of(fleet, who), 3);
      EXPECT_THAT(process_of(fleet, who).output(), HasSubstr(loss.end)) << who;
    }
  } else {
    for (const std::string& who : loss.orphans) Fleet::expect_end(process_of(fleet, who), 3);
    // A hanging process is lost a while later.
    if (loss.left) {
      ASSERT_TRUE(fleet.wait_for_clients(*loss.left)) << fleet.root().output();
    }
    // More than what was under way.
    ASSERT_TRUE(fleet.wait_for_rounds(fleet.rounds() + 12)) << fleet.root().output();
    if (loss.left) {
      EXPECT_EQ(fleet.last_round().at("clients"), *loss.left);
    }
    fleet.root().signal(SIGTERM);
    EXPECT_EQ(fleet.finish().at("stopped_by"), "signal");
    for (const std::string& who : everybody(fleet)) {
      if (who == "root" || who == loss.victim || loss.orphans.contains(who)) continue;
      Fleet::expect_end(process_of(fleet, who), 0);
    }
  }
  if (loss.signal != SIGKILL) process_of(fleet, loss.victim).signal(SIGKILL);
}

std::vector<Loss> losses() {
  std::vector<Loss> all;
  const auto in_lockstep = [](const std::string& mode, int left) {
    return mode == "bsp" ? std::optional(left) : std::nullopt;
  };
  for (const std::string mode : {"bsp", "ssp", "async", "buffered"}) {
    Words with{"--sync.mode", mode};
    if (mode == "buffered") with = with + Words{"--sync.buffer", "2"};
    all.push_back({"ServerClient_" + mode, kPlain + with, {}, "client 2", {}, "", in_lockstep(mode, 3)});
    const Words tree = kTree + with + Words{"--topology.tree.sync", mode};
    all.push_back({"TreeClient_" + mode, tree, kBelowTwo, "client 3", {}, "", in_lockstep(mode, 3)});
    all.push_back({"TreeAggregator_" + mode,
                   tree,
                   kBelowTwo,
                   "aggregator 0",
                   {"client 0", "client 1"},
                   "",
                   in_lockstep(mode, 2)});
  }
  all.push_back({"ServerRoot", kPlain, {}, "root", {}, "no word from the server at tcp://", {}});
  all.push_back({"TreeRoot", kTree, kBelowTwo, "root", {}, "no word from the parent at tcp://", {}});
  all.push_back({"TwoLevelsUpper",
                 kTwoLevels,
                 kBelowFour,
                 "aggregator 1",
                 {"aggregator 4", "aggregator 5", "client 2", "client 3"},
                 "",
                 2});
  all.push_back({"TwoLevelsLower", kTwoLevels, kBelowFour, "aggregator 2", {"client 0"}, "", 3});
  // Its aggregator has no other, and leaves.
  all.push_back({"TwoLevelsClient", kTwoLevels, kBelowFour, "client 3", {"aggregator 5"}, "", 3});

  const std::string second = "client 2 is lost";
  const std::vector<std::pair<std::string, Words>> sums{
      {"Ring", {"--topology.name", "ring"}},
      {"AllToAll", {"--topology.name", "all_to_all"}},
      {"RingSteps", {"--topology.name", "ring", "--algorithm.name", "sync_sgd"}},
      {"AllToAllSteps", {"--topology.name", "all_to_all", "--algorithm.name", "sync_sgd"}}};
  for (const auto& [name, keys] : sums) all.push_back({name, keys, {}, "client 2", {}, second, {}});
  const std::vector<std::pair<std::string, Words>> gossips{
      {"DPsgd", {}},
      {"DPsgdOverlap", {"--topology.gossip.overlap", "true"}},
      {"DPsgdOfDifferences", {"--compression.down", "one_bit"}},
      {"Pairwise", {"--topology.gossip.method", "pairwise"}},
      {"AsyncPairwise", {"--sync.mode", "async"}},
      {"GoSgd", {"--sync.mode", "async", "--topology.gossip.method", "go_sgd"}}};
  for (const auto& [name, keys] : gossips) {
    const bool lockstep = keys.empty() || keys[1] != "async";
    all.push_back({"Gossip" + name,
                   kGossip + keys,
                   {},
                   "client 2",
                   {},
                   "",
                   lockstep ? std::optional(3) : std::nullopt});
  }
  // On a ring the neighbours of the lost peer are not each other's.
  all.push_back({"GossipAlongARing", {"--topology.name", "gossip"}, {}, "client 2", {}, "", 3});
  for (const auto& [name, keys] : {sums[0], sums[2], std::pair{std::string("Gossip"), kGossip}})
    all.push_back({name + "Root", keys, {}, "root", {}, "the server is lost", {}});

  // The connection stands, and nobody answers.
  all.push_back({"ServerClientHangs", kPlain, {}, "client 2", {}, "", 3, SIGSTOP});
  all.push_back(
      {"TreeAggregatorHangs", kTree, kBelowTwo, "aggregator 0", {"client 0", "client 1"}, "", 2, SIGSTOP});
  all.push_back(
      {"ServerRootHangs", kPlain, {}, "root", {}, "no word from the server at tcp://", {}, SIGSTOP});
  for (const auto& [name, keys] : sums)
    all.push_back({name + "Hangs", keys, {}, "client 2", {}, second, {}, SIGSTOP});
  all.push_back({"GossipDPsgdHangs", kGossip, {}, "client 2", {}, "", 3, SIGSTOP});
  all.push_back(
      {"GossipAsyncPairwiseHangs", kGossip + gossips[4].second, {}, "client 2", {}, "", {}, SIGSTOP});
  return all;
}

// Those that are always run; the others take minutes.
const std::set<std::string> kAlways{
    "ServerClient_bsp",   "ServerClient_async",  "ServerRoot",  "TreeClient_ssp",
    "TreeAggregator_bsp", "TwoLevelsUpper",      "Ring",        "RingSteps",
    "AllToAllHangs",      "GossipDPsgd",         "GossipGoSgd", "GossipAsyncPairwise",
    "RingRoot",           "TreeAggregatorHangs", "ServerRank0", "EamsgdRank2",
    "TreeRank2",          "RingRank3",           "DPsgdRank1",  "ServerSsp"};

template <class Case>
std::vector<Case> chosen(std::vector<Case> cases) {
  std::erase_if(cases, [](const Case& one) { return kAlways.contains(one.name) == GOSSAMER_OTHERS; });
  return cases;
}

INSTANTIATE_TEST_SUITE_P(OverZmq, Killed, ::testing::ValuesIn(chosen(losses())),
                         [](const auto& tested) { return tested.param.name; });

#if !GOSSAMER_OTHERS
TEST(KilledAggregator, TakesItsPlaceAgainWhereItIsStartedAnew) {
  const TemporaryFolder folder;
  Fleet fleet(kEndless + kTree + Words{"--client.server_timeout_s", "120"}, folder, kBelowTwo);
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.root().output();
  fleet.aggregator(0).signal(SIGKILL);
  ASSERT_TRUE(fleet.wait_for_clients(2)) << fleet.root().output();
  fleet.restart_aggregator(0);
  ASSERT_TRUE(fleet.wait_for_clients(4)) << fleet.root().output() << fleet.aggregator(0).output();
  fleet.root().signal(SIGTERM);
  EXPECT_EQ(fleet.finish().at("stopped_by"), "signal");
  fleet.expect_others_end(0);
}

// Models travel as differences: who is started anew holds none, and is given one as it is.
TEST(KilledClient, IsGivenTheModelWhereTheOthersGetDifferences) {
  const TemporaryFolder folder;
  Fleet fleet(kEndless + kPlain + Words{"--compression.down", "one_bit"}, folder);
  ASSERT_TRUE(fleet.wait_for_rounds(2)) << fleet.root().output();
  const auto all_differences = fleet.last_round().at("bytes_down").get<std::uint64_t>();
  fleet.client(2).signal(SIGKILL);
  ASSERT_TRUE(fleet.wait_for_clients(3)) << fleet.root().output();
  fleet.restart_client(2);
  ASSERT_TRUE(fleet.wait_for_clients(4)) << fleet.root().output() << fleet.client(2).output();
  ASSERT_TRUE(fleet.wait_for_rounds(fleet.rounds() + 3)) << fleet.root().output();
  EXPECT_EQ(fleet.last_round().at("clients"), 4);
  EXPECT_EQ(fleet.last_round().at("bytes_down"), all_differences);
  fleet.root().signal(SIGTERM);
  EXPECT_EQ(fleet.finish().at("stopped_by"), "signal");
  fleet.expect_others_end(0);
}
#endif

// The newest of the coordinator's checkpoints, whole or not.
Round newest_round(const std::filesystem::path& folder) {
  Round newest = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename();
    Round round = 0;
    int length = 0;
    if (std::sscanf(name.c_str(), "round-%" SCNd64 ".ckpt%n", &round, &length) == 1 &&
        length == static_cast<int>(name.size())) {
      newest = std::max(newest, round);
    }
  }
  return newest;
}

struct LostRank {
  std::string name;
  Words keys;
  int ranks;
  int victim;
  // What the resumed run is compared with: the same model as a run without interruption, in simulation or,
  // where there is none, under mpirun; or only that it comes to its end.
  enum class Resumed { as_simulated, as_under_mpirun, ends, refused } resumed;
};

void PrintTo(const LostRank& lost, std::ostream* out) { *out << "rank " << lost.victim; }

class KilledRank : public ::testing::TestWithParam<LostRank> {};

TEST_P(KilledRank, EndsTheJobWithAWholeCheckpoint) {
  const LostRank& lost = GetParam();
  const TemporaryFolder folder;
  const auto out = folder / "killed";
  const Words keys = kEndless + lost.keys + Words{"--server.checkpoint_every", "3"};
  {
    Process job(mpirun(lost.ranks) + keys + Words{"--run.out", out.string()}, folder / "log");
    ASSERT_TRUE(wait_for_rounds(job, out, 8)) << job.output();
    std::vector<std::unique_ptr<JobRank>> ranks;
    for (int number = 0; number < lost.ranks; ++number) {
      ranks.push_back(std::make_unique<JobRank>(job, number));
      ASSERT_TRUE(ranks.back()->found());
    }
    ranks[static_cast<std::size_t>(lost.victim)]->signal(SIGKILL);
    const auto code = job.wait(kLimit);
    ASSERT_TRUE(code.has_value()) << "mpirun hangs";
    EXPECT_NE(*code, 0);
    for (const auto& rank : ranks) EXPECT_TRUE(rank->ends_within(kLimit)) << "a rank outlives its job";
  }
  if (lost.resumed == LostRank::Resumed::refused) return;
  const Round newest = newest_round(out / "checkpoint");
  ASSERT_GE(newest, 6);
  EXPECT_EQ(latest_checkpoint(out / "checkpoint"), newest);
  const Words to_the_end = keys + Words{"--run.rounds", std::to_string(newest + 5)};
  const auto resumed = run_to_end(mpirun(lost.ranks) + Words{"--run.resume"}, to_the_end, out);
  EXPECT_EQ(resumed.at("rounds"), newest + 5);
  if (lost.resumed == LostRank::Resumed::ends) return;
  const Words straight =
      lost.resumed == LostRank::Resumed::as_simulated ? Words{kProgram, "simulate"} : mpirun(lost.ranks);
  EXPECT_EQ(outcome_of(resumed), outcome_of(run_to_end(straight, to_the_end, folder / "straight")));
}

// Rank 0 coordinates; eamsgd's ranks write checkpoints of their own.
std::vector<LostRank> lost_ranks() {
  using enum LostRank::Resumed;
  const Words eamsgd{"--algorithm.name", "eamsgd", "--client.local_steps", "10", "--client.lr", "0.005"};
  const Words adam = kPlain + Words{"--server.optimizer", "adam", "--server.lr", "0.01"};
  const auto flow = [](const std::string& mode) { return kPlain + Words{"--sync.mode", mode}; };
  const auto pairwise = kGossip + Words{"--topology.gossip.method", "pairwise"};
  return {
      {"ServerRank0", adam, 3, 0, as_simulated},
      {"ServerRank1", adam, 3, 1, as_simulated},
      {"EamsgdRank0", eamsgd, 3, 0, as_simulated},
      {"EamsgdRank2", eamsgd, 3, 2, as_simulated},
      {"ServerSsp", flow("ssp"), 3, 1, ends},
      {"ServerAsync", flow("async"), 3, 2, ends},
      {"ServerBuffered", flow("buffered") + Words{"--sync.buffer", "2"}, 3, 1, ends},
      {"TreeRank0", kTree, 3, 0, as_simulated},
      {"TreeRank2", kTree, 3, 2, as_simulated},
      {"TreeTwoLevels", kTwoLevels, 3, 1, as_simulated},
      {"TreeAggregator", kTree + Words{"--train.aggregator_ranks"}, 5, 2, as_simulated},
      {"TreeAsync", kTree + Words{"--sync.mode", "async", "--topology.tree.sync", "async"}, 3, 1, refused},
      {"RingRank0", {"--topology.name", "ring"}, 4, 0, as_simulated},
      {"RingRank3", {"--topology.name", "ring"}, 4, 3, as_simulated},
      {"RingSteps", {"--topology.name", "ring", "--algorithm.name", "sync_sgd"}, 4, 2, as_simulated},
      {"AllToAll", {"--topology.name", "all_to_all"}, 4, 1, as_simulated},
      {"MpiAllreduce", {"--topology.name", "mpi_allreduce"}, 4, 2, as_under_mpirun},
      {"DPsgdRank0", kGossip, 4, 0, as_simulated},
      {"DPsgdRank1", kGossip, 3, 1, as_simulated},
      {"Pairwise", pairwise, 4, 3, as_simulated},
      {"AsyncPairwise", kGossip + Words{"--sync.mode", "async"}, 4, 1, ends},
      {"GoSgd", kGossip + Words{"--sync.mode", "async", "--topology.gossip.method", "go_sgd"}, 4, 2, ends}};
}

INSTANTIATE_TEST_SUITE_P(OverMpi, KilledRank, ::testing::ValuesIn(chosen(lost_ranks())),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace gossamer::testing
