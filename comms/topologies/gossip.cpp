// Peers without a server or a common sum, each with a model of its own. Lian, Zhang, Zhang, Hsieh, Zhang,
// Liu: Can decentralized algorithms outperform centralized algorithms?, 2017 (D-PSGD); Jin, Yuan, Iandola,
// Keutzer: How to scale distributed deep learning?, 2016 (pairwise); Blot, Picard, Cord, Thome: Gossip
// training for deep learning, 2016 (GoSGD). Of differences: client/public_copies.h.
#include "comms/topologies/gossip.h"

#include <algorithm>
#include <utility>

#include "comms/topologies/methods.h"
#include "core/rng.h"

namespace gossamer {
namespace {

class Gossip final : public Topology {
 public:
  explicit Gossip(const Options& options)
      : graph_(options.text("topology.graph")), degree_(options.integer("topology.degree")) {
    const std::string& method = options.text("topology.gossip.method");
    settings_.method = method == "d_psgd"     ? GossipMethod::d_psgd
                       : method == "pairwise" ? GossipMethod::pairwise
                                              : GossipMethod::go_sgd;
    settings_.weights = options.text("topology.gossip.weights") == "uniform" ? GraphWeights::uniform
                                                                             : GraphWeights::metropolis;
    settings_.overlap = options.flag("topology.gossip.overlap");
    settings_.consensus_step = options.real("topology.gossip.consensus_step");
    settings_.probability = options.real("topology.gossip.probability");
    settings_.seed = static_cast<std::uint64_t>(options.integer("run.seed"));
  }

  TopologyKind kind() const noexcept override { return TopologyKind::gossip; }
  std::unique_ptr<GossipPlan> gossip_plan(int peers) const override {
    return std::make_unique<GossipPlan>(make_graph(graph_, peers, degree_, settings_.seed), settings_);
  }

 private:
  std::string graph_;
  std::int64_t degree_;
  GossipSettings settings_;
};

}  // namespace

GossipPlan::GossipPlan(Graph graph, GossipSettings settings)
    : graph_(std::move(graph)), settings_(settings) {}

std::vector<MixingWeight> GossipPlan::row(Rank self, Round round) const {
  if (settings_.method == GossipMethod::d_psgd) return mixing_row(graph_, settings_.weights, self);
  const auto other = matched(self, round);
  if (!other) return {{self, 1}};
  return {{std::min(self, *other), 0.5}, {std::max(self, *other), 0.5}};
}

// A maximal matching of the round: the edges in a random order, each taken where both ends are still free.
std::optional<Rank> GossipPlan::matched(Rank self, Round round) const {
  std::vector<std::pair<Rank, Rank>> edges;
  for (Rank a = 0; a < graph_.size(); ++a) {
    for (const Rank b : graph_.neighbours[static_cast<std::size_t>(a)]) {
      if (a < b) edges.emplace_back(a, b);
    }
  }
  Rng rng(settings_.seed, Purpose::gossip, 0, static_cast<std::uint64_t>(round));
  for (std::size_t left = edges.size(); left > 1; --left) std::swap(edges[left - 1], edges[rng.below(left)]);
  std::vector<bool> taken(graph_.neighbours.size());
  for (const auto& [a, b] : edges) {
    if (taken[static_cast<std::size_t>(a)] || taken[static_cast<std::size_t>(b)]) continue;
    taken[static_cast<std::size_t>(a)] = taken[static_cast<std::size_t>(b)] = true;
    if (a == self) return b;
    if (b == self) return a;
  }
  return std::nullopt;
}

std::optional<Rank> GossipPlan::partner(Rank self, Round round,
                                        const std::function<bool(Rank)>& present) const {
  Rng rng(settings_.seed, Purpose::gossip, static_cast<std::uint64_t>(self) + 1,
          static_cast<std::uint64_t>(round));
  if (rng.uniform() >= settings_.probability) return std::nullopt;
  std::vector<Rank> here;
  std::ranges::copy_if(graph_.neighbours[static_cast<std::size_t>(self)], std::back_inserter(here), present);
  if (here.empty()) return std::nullopt;
  return here[rng.below(here.size())];
}

std::vector<OptionSpec> gossip_options() {
  return {
      text_option("topology.graph", "ring",
                  "who are neighbours: ring, torus, exponential, random_regular, complete, or a file with an "
                  "edge (two client ids) a line"),
      integer_option("topology.degree", 4, "random_regular: neighbours of each peer").at_least(1),
      text_option("topology.gossip.method", "d_psgd",
                  "bsp: d_psgd (all neighbours) or pairwise (a matching a round); async: pairwise (left "
                  "alone) or go_sgd")
          .one_of({"d_psgd", "pairwise", "go_sgd"}),
      text_option("topology.gossip.weights", "metropolis",
                  "d_psgd: of a neighbour, by the degrees of the two, or by the largest of all")
          .one_of({"metropolis", "uniform"}),
      flag_option("topology.gossip.overlap", false,
                  "d_psgd: exchange the models that a round begins with while it trains; needs short rounds, "
                  "and more"),
      real_option("topology.gossip.consensus_step", 0.1,
                  "d_psgd where compression.down sends differences: how much of the way to its neighbours' "
                  "mean a peer goes in a round; the more a method leaves out, the less")
          .above(0)
          .at_most(1),
      real_option("topology.gossip.probability", 1, "async: of an exchange after a round of work")
          .above(0)
          .at_most(1),
  };
}

std::unique_ptr<Topology> make_gossip(const Options& options) { return std::make_unique<Gossip>(options); }

}  // namespace gossamer
