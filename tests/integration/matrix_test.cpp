// Every pair of a topology and a sync mode that is not refused trains logistic regression, over MPI and over
// ZeroMQ. (In simulation: tests/simulation/combinations_test.cpp.)
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

#include "cli/combinations.h"
#include "comms/topologies/topology.h"
#include "integration/fleet.h"
#include "server/sync/sync_policy.h"

namespace gossamer::testing {
namespace {

struct Pair {
  std::string topology, mode, method;  // of gossip
  RunsIn place;
};

void PrintTo(const Pair& pair, std::ostream* out) { *out << pair.topology << ' ' << pair.mode; }

// One of each topology in both places, or all the others.
std::vector<Pair> pairs(bool others) {
  std::vector<Pair> chosen;
  for (const RunsIn place : {RunsIn::mpi, RunsIn::zmq}) {
    for (const std::string& topology : topologies().names()) {
      bool first = true;
      for (const std::string& mode : sync_policies().names()) {
        if (refusal_of_combination(topology, mode, "fedavg", place)) continue;
        std::vector<std::string> methods{""};
        if (topology == "gossip") methods = {mode == "bsp" ? "d_psgd" : "go_sgd", "pairwise"};
        for (const std::string& method : methods) {
          if (first != others) chosen.push_back({topology, mode, method, place});
          first = false;
        }
      }
    }
  }
  return chosen;
}

std::string mnist() {
  const char* given = std::getenv("GOSSAMER_DATA");
  const std::filesystem::path data = given != nullptr ? given : GOSSAMER_SOURCE_DIR "/../shared/data";
  return std::filesystem::exists(data / "mnist") ? (data / "mnist").string() : std::string();
}

class Matrix : public ::testing::TestWithParam<Pair> {};

TEST_P(Matrix, Trains) {
  const auto& [topology, mode, method, place] = GetParam();
  const bool gossip = topology == "gossip";
  const bool real = !mnist().empty();
  const bool peers = topology != "parameter_server" && topology != "tree";
  // A round without a server, and one of async with a server, is a quarter of the others' work.
  const bool single = mode == "async" && !peers;
  Words keys{"--topology.name",
             topology,
             "--sync.mode",
             mode,
             "--data.clients",
             "4",
             "--model.name",
             "logistic",
             "--run.rounds",
             single ? "32" : "8",
             "--run.eval_every",
             single ? "4" : "1",
             "--client.local_steps",
             "300",
             "-q"};
  if (real) keys = keys + Words{"--data.dataset", "mnist", "--data.path", mnist()};
  if (gossip) keys = keys + Words{"--topology.gossip.method", method};
  if (!peers) keys = keys + Words{"--cohort.fraction", "1"};
  if (mode == "buffered") keys = keys + Words{"--sync.buffer", "4"};
  const TemporaryFolder folder;
  double best = 0;
  if (place == RunsIn::mpi) {
    best = run_to_end(mpirun(4), keys, folder / "mpi").at("best_test_accuracy");
  } else {
    const FleetShape below_two{4, {-1, -1}, {0, 0, 1, 1}};
    Fleet fleet(keys, folder, topology == "tree" ? below_two : FleetShape{});
    best = fleet.finish().at("best_test_accuracy");
    fleet.expect_others_end(0);
  }
  EXPECT_GE(best, real ? 0.88 : 0.5);
}

INSTANTIATE_TEST_SUITE_P(Every, Matrix, ::testing::ValuesIn(pairs(GOSSAMER_OTHERS)), [](const auto& tested) {
  const Pair& pair = tested.param;
  return std::string(pair.place == RunsIn::mpi ? "mpi_" : "zmq_") + pair.topology + '_' + pair.mode +
         (pair.method.empty() ? "" : '_' + pair.method);
});

}  // namespace
}  // namespace gossamer::testing
