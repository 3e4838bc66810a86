// Every pair of a topology and a sync mode either trains, or is refused in one line; and every algorithm with
// them.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "cli/combinations.h"
#include "core/error.h"
#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

std::string mnist() {
  const char* given = std::getenv("GOSSAMER_DATA");
  const std::filesystem::path data = given != nullptr ? given : GOSSAMER_SOURCE_DIR "/../shared/data";
  return std::filesystem::exists(data / "mnist") ? (data / "mnist").string() : std::string();
}

double accuracy_of(const Keys& keys, const Keys& data) {
  const TemporaryFolder folder;
  const Keys all = keys + data + Keys{{"data.clients", "10"}, {"run.eval_every", "1"}};
  const std::string& topology = keys.at("topology.name");
  const bool server = topology == "parameter_server" || topology == "tree";
  const Outcome outcome = server ? simulate_in(folder, all, 2) : simulate_peers_in(folder, all, 2);
  double best = 0;
  for (const RoundMetrics& round : outcome.rounds) best = std::max(best, round.test_accuracy.value_or(0));
  return best;
}

// What resolve() says; empty where it accepts.
std::string resolved(const Keys& keys, RunsIn place) {
  Options options(full_schema());
  for (const auto& [key, value] : keys) options.set(key, value);
  try {
    resolve(options, place);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

class Combinations : public testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(Combinations, TrainOrAreRefused) {
  const auto& [topology, mode] = GetParam();
  const Keys keys{{"topology.name", topology}, {"sync.mode", mode}};
  const auto refusal = refusal_of_combination(topology, mode, "fedavg", RunsIn::simulation);
  EXPECT_EQ(resolved(keys, RunsIn::simulation), refusal.value_or(""));
  if (refusal) {
    EXPECT_THAT(*refusal, HasSubstr("use "));
    EXPECT_THAT(*refusal, testing::Not(HasSubstr("\n")));
    EXPECT_THAT(*refusal, HasSubstr(topology));
    return;
  }
  // Without MNIST, drawn digits: 600 of them do not teach as much.
  const bool real = !mnist().empty();
  const Keys data =
      real ? Keys{{"data.dataset", "mnist"}, {"data.path", mnist()}} : Keys{{"data.dataset", "digits"}};
  const Keys training = keys + Keys{{"run.rounds", mode != "async" || topology == "gossip" ? "5" : "50"}};
  std::vector<Keys> ways{training};
  if (topology == "gossip") {
    ways = {training + Keys{{"topology.gossip.method", "pairwise"}},
            training + Keys{{"topology.gossip.method", mode == "bsp" ? "d_psgd" : "go_sgd"}}};
  }
  for (const Keys& way : ways) EXPECT_GE(accuracy_of(way, data), real ? 0.88 : 0.5);
}

INSTANTIATE_TEST_SUITE_P(Every, Combinations,
                         testing::Combine(testing::ValuesIn(topologies().names()),
                                          testing::ValuesIn(sync_policies().names())),
                         [](const auto& tested) {
                           return std::get<0>(tested.param) + "_" + std::get<1>(tested.param);
                         });

// The table and the configuration agree about every triple, in every place. (With a server an algorithm says
// itself what it presets, in words of its own.)
TEST(CombinationsOfEveryAlgorithm, AreAcceptedOrRefusedAsTheTableSays) {
  int accepted = 0, refused = 0;
  for (const std::string& topology : topologies().names()) {
    for (const std::string& mode : sync_policies().names()) {
      for (const std::string& algorithm : algorithms().names()) {
        for (const RunsIn place : {RunsIn::simulation, RunsIn::mpi, RunsIn::zmq}) {
          const auto refusal = refusal_of_combination(topology, mode, algorithm, place);
          const std::string said = resolved(
              {{"topology.name", topology}, {"sync.mode", mode}, {"algorithm.name", algorithm}}, place);
          EXPECT_EQ(said.empty(), !refusal) << topology << ' ' << mode << ' ' << algorithm << ": " << said;
          EXPECT_THAT(said, testing::Not(HasSubstr("\n")));
          ++(refusal ? refused : accepted);
        }
      }
    }
  }
  EXPECT_GT(accepted, 50);
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace gossamer
