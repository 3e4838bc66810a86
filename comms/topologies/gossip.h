#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "comms/topologies/graph.h"

namespace gossamer {

enum class GossipMethod {
  d_psgd,    // lockstep: everybody mixes with all its neighbours
  pairwise,  // two peers take their mean: in lockstep along a matching, otherwise when one of them asks
  go_sgd,    // one peer sends its model and half its weight to another
};

struct GossipSettings {
  GossipMethod method = GossipMethod::d_psgd;
  GraphWeights weights = GraphWeights::metropolis;
  bool overlap = false;       // d_psgd: exchange the model that the round began with, while training
  double consensus_step = 1;  // d_psgd of differences: of the way to the neighbours' mean
  double probability = 1;     // asynchronous: of talking to somebody after a round of work
  std::uint64_t seed = 1;
};

// Who mixes with whom, when and by how much. Pure: nothing depends on the order of the questions.
class GossipPlan {
 public:
  GossipPlan(Graph graph, GossipSettings settings);

  const GossipSettings& settings() const noexcept { return settings_; }
  const Graph& graph() const noexcept { return graph_; }

  // Lockstep: what peer `self` mixes at the end of `round`, itself included, ascending. The matrix of all
  // rows is symmetric and doubly stochastic in every round.
  std::vector<MixingWeight> row(Rank self, Round round) const;
  // Asynchronous: the neighbour that `self` talks to after its `round`th round of work, among those that are
  // present; none where it keeps to itself this time.
  std::optional<Rank> partner(Rank self, Round round, const std::function<bool(Rank)>& present) const;

 private:
  std::optional<Rank> matched(Rank self, Round round) const;

  Graph graph_;
  GossipSettings settings_;
};

}  // namespace gossamer
