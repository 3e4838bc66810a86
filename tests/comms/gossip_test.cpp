// Graphs of peers, and who mixes with whom by how much.
#include "comms/topologies/gossip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Graph, NeighboursAreWhatTheNameSays) {
  EXPECT_THAT(make_graph("ring", 5, 0, 1).neighbours[0], ElementsAre(1, 4));
  EXPECT_THAT(make_graph("ring", 2, 0, 1).neighbours[1], ElementsAre(0));
  EXPECT_THAT(make_graph("complete", 4, 0, 1).neighbours[2], ElementsAre(0, 1, 3));
  EXPECT_THAT(make_graph("torus", 12, 0, 1).neighbours[0], ElementsAre(1, 3, 4, 8));  // 3 rows of 4
  EXPECT_THAT(make_graph("torus", 4, 0, 1).neighbours[3], ElementsAre(1, 2));
  EXPECT_THAT(make_graph("exponential", 8, 0, 1).neighbours[0], ElementsAre(1, 2, 4, 6, 7));
  EXPECT_THAT(make_graph("ring", 1, 0, 1).neighbours[0], ElementsAre());
}

TEST(Graph, RandomRegularIsRegularConnectedAndDrawnFromTheSeed) {
  for (const auto& [peers, degree] : {std::pair{8, 3}, {10, 4}, {9, 2}, {50, 5}, {6, 5}}) {
    const Graph graph = make_graph("random_regular", peers, degree, 3);
    for (const auto& own : graph.neighbours) EXPECT_EQ(std::ssize(own), degree);
    EXPECT_TRUE(unreachable(graph).empty());
    EXPECT_EQ(make_graph("random_regular", peers, degree, 3).neighbours, graph.neighbours);
  }
  EXPECT_NE(make_graph("random_regular", 50, 4, 3).neighbours,
            make_graph("random_regular", 50, 4, 4).neighbours);
  EXPECT_THAT(refusal([] { make_graph("random_regular", 5, 3, 1); }), HasSubstr("topology.degree = 3"));
  EXPECT_THAT(refusal([] { make_graph("random_regular", 4, 4, 1); }), HasSubstr("topology.degree = 4"));
}

TEST(Graph, ComesFromAFileOfEdges) {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "edges.txt";
  std::ofstream(path) << "# a star\n0 1\n0,2 # and\n\n3 0\n1 0\n";
  const Graph graph = make_graph(path, 4, 0, 1);
  EXPECT_THAT(graph.neighbours[0], ElementsAre(1, 2, 3));
  EXPECT_THAT(graph.neighbours[3], ElementsAre(0));
  for (const char* bad : {"0 0\n", "0 4\n", "-1 2\n", "0\n", "0 1 2\n", "a b\n"}) {
    std::ofstream(path) << "0 1\n" << bad;
    EXPECT_THAT(refusal([&] { make_graph(path, 4, 0, 1); }), HasSubstr("line 2")) << bad;
  }
  EXPECT_THAT(refusal([] { make_graph("rimg", 4, 0, 1); }), HasSubstr("nearest: ring"));
}

TEST(Graph, ThatIsNotConnectedIsRefused) {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "edges.txt";
  std::ofstream(path) << "0 1\n2 3\n";
  const std::string said = refusal([&] { make_graph(path, 4, 0, 1); });
  EXPECT_THAT(said, HasSubstr("not connected: peer 2 and 1 more"));
  EXPECT_EQ(std::ranges::count(said, '\n'), 0);
  EXPECT_THAT(refusal([] { make_graph("torus", 7, 0, 1); }), HasSubstr("topology.graph = ring"));
}

// Rows of the mixing matrix sum to 1, and it is symmetric: so its columns do.
void expect_doubly_stochastic(const GossipPlan& plan, Round round) {
  std::map<std::pair<Rank, Rank>, double> weights;
  for (Rank self = 0; self < plan.graph().size(); ++self) {
    double sum = 0;
    Rank before = -1;
    for (const MixingWeight& entry : plan.row(self, round)) {
      EXPECT_GT(entry.peer, before);
      before = entry.peer;
      EXPECT_GE(entry.weight, 0);
      weights[{self, entry.peer}] = entry.weight;
      sum += entry.weight;
    }
    EXPECT_NEAR(sum, 1, 1e-12);
  }
  for (const auto& [pair, weight] : weights) {
    const auto mirrored = weights.find({pair.second, pair.first});
    ASSERT_NE(mirrored, weights.end());
    EXPECT_EQ(weight, mirrored->second);
  }
}

TEST(GossipPlan, MixesDoublyStochastically) {
  const TemporaryFolder folder;
  const std::string star = folder.path() / "star.txt";
  std::ofstream(star) << "0 1\n0 2\n0 3\n0 4\n0 5\n1 2\n";
  for (const std::string& name :
       std::vector<std::string>{"ring", "torus", "exponential", "random_regular", "complete", star}) {
    for (const GraphWeights weights : {GraphWeights::metropolis, GraphWeights::uniform}) {
      const GossipPlan plan(make_graph(name, 6, 3, 1), {GossipMethod::d_psgd, weights});
      expect_doubly_stochastic(plan, 1);
    }
    const GossipPlan pairs(make_graph(name, 6, 3, 1), {GossipMethod::pairwise});
    for (Round round = 1; round <= 20; ++round) expect_doubly_stochastic(pairs, round);
  }
  const GossipPlan whole(make_graph("complete", 5, 0, 1), {});
  for (const MixingWeight& entry : whole.row(2, 1)) EXPECT_NEAR(entry.weight, 0.2, 1e-15);
}

TEST(GossipPlan, MatchingsAreMaximalAndReachEveryEdge) {
  const GossipPlan plan(make_graph("ring", 6, 0, 1), {GossipMethod::pairwise});
  std::set<std::pair<Rank, Rank>> used;
  for (Round round = 1; round <= 60; ++round) {
    std::set<Rank> alone;
    for (Rank self = 0; self < 6; ++self) {
      const auto row = plan.row(self, round);
      if (row.size() == 1) alone.insert(self);
      if (row.size() == 2) used.insert({row[0].peer, row[1].peer});
    }
    for (const Rank one : alone)
      EXPECT_FALSE(alone.contains((one + 1) % 6)) << "both ends of an edge are free";
  }
  EXPECT_EQ(used.size(), 6U);
}

TEST(GossipPlan, PartnersArePresentNeighboursEachAsOftenAsTheOthers) {
  GossipSettings settings{GossipMethod::go_sgd};
  settings.probability = 0.5;
  const GossipPlan plan(make_graph("complete", 5, 0, 1), settings);
  std::map<Rank, int> times;
  int silent = 0;
  for (Round round = 1; round <= 6000; ++round) {
    const auto partner = plan.partner(2, round, [](Rank rank) { return rank != 3; });
    partner ? ++times[*partner] : ++silent;
    EXPECT_EQ(partner, plan.partner(2, round, [](Rank rank) { return rank != 3; }));
  }
  // 5 standard deviations of a binomial.
  EXPECT_NEAR(silent, 3000, 194);
  for (const Rank rank : {0, 1, 4}) EXPECT_NEAR(times[rank], 1000, 145);
  EXPECT_EQ(times.size(), 3U);
  EXPECT_FALSE(plan.partner(2, 1, [](Rank) { return false; }));
}

}  // namespace
}  // namespace gossamer
