// Aggregators between the clients and the root, on any number of levels. Liu, Zhang, Song, Letaief:
// "Client-edge-cloud hierarchical federated learning", ICC 2020.
#include "comms/topologies/tree.h"

#include <charconv>
#include <string>

#include "comms/topologies/methods.h"
#include "core/error.h"

namespace gossamer {
namespace {

class Tree final : public Topology {
 public:
  explicit Tree(std::vector<std::int64_t> fanout) : fanout_(std::move(fanout)) {}
  TopologyKind kind() const noexcept override { return TopologyKind::server; }
  std::unique_ptr<TreePlan> tree_plan(std::int64_t clients) const override {
    return std::make_unique<TreePlan>(clients, fanout_);
  }

 private:
  std::vector<std::int64_t> fanout_;
};

}  // namespace

TreePlan::TreePlan(std::int64_t clients, const std::vector<std::int64_t>& fanout) : clients_(clients) {
  nodes_.push_back({kRoot, kRoot, 0, clients, 0, false});
  std::size_t level_begin = 0;  // in nodes_: the level that is given children
  for (const std::int64_t degree : fanout) {
    const std::size_t level_end = nodes_.size();
    if (degree > clients / static_cast<std::int64_t>(level_end - level_begin))
      throw ConfigError("topology.tree.fanout: more aggregators on a level than data.clients = " +
                        std::to_string(clients) + "; give smaller numbers, or more clients");
    for (std::size_t parent = level_begin; parent < level_end; ++parent) {
      nodes_[parent].first_child = clients + static_cast<ClientId>(nodes_.size()) - 1;
      nodes_[parent].children = degree;
      for (std::int64_t child = 0; child < degree; ++child) {
        nodes_.push_back(
            {nodes_[parent].first_child + child, nodes_[parent].id, nodes_[parent].level + 1, 0, 0, false});
      }
    }
    level_begin = level_end;
  }
  const auto lowest = static_cast<std::int64_t>(nodes_.size() - level_begin);
  for (std::int64_t i = 0; i < lowest; ++i) {
    TreeNode& node = nodes_[level_begin + static_cast<std::size_t>(i)];
    node.first_child = i * clients / lowest;
    node.children = (i + 1) * clients / lowest - node.first_child;
    node.over_clients = true;
  }
}

ClientId TreePlan::parent_of(ClientId id) const {
  if (id >= clients_) return node(id).parent;
  // The lowest level is the last one, and its shares are nearly equal.
  std::size_t low = nodes_.size() - 1, high = low;
  while (nodes_[low - 1].over_clients) --low;
  while (low < high) {
    const std::size_t middle = (low + high + 1) / 2;
    if (nodes_[middle].first_child <= id) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return nodes_[low].id;
}

std::vector<std::int64_t> tree_fanout(const Options& options) {
  const std::string& text = options.text("topology.tree.fanout");
  std::vector<std::int64_t> fanout;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    std::int64_t degree = 0;
    const auto [next, error] = std::from_chars(at, end, degree);
    if (error != std::errc() || degree < 1 || (next != end && *next != ',')) {
      throw ConfigError("topology.tree.fanout = " + text +
                        ": expected numbers of at least 1, such as 4 or 10,5");
    }
    fanout.push_back(degree);
    if (next == end) return fanout;
    at = next + 1;
  }
}

std::vector<OptionSpec> tree_options() {
  return {
      text_option("topology.tree.fanout", "2",
                  "aggregators below the root, then below each of these, and so on: 4, or 10,5; the clients "
                  "are shared out among the lowest"),
      text_option(
          "topology.tree.sync", "bsp",
          "sync mode of the aggregators: one for all levels, or one each from the root down: ssp,bsp"),
      integer_option("topology.tree.rounds", 1,
                     "rounds that an aggregator makes with its children for each of its parent's")
          .at_least(1),
  };
}

std::unique_ptr<Topology> make_tree(const Options& options) {
  return std::make_unique<Tree>(tree_fanout(options));
}

}  // namespace gossamer
