#pragma once

#include <cstdint>
#include <vector>

#include "core/options.h"
#include "core/types.h"

namespace gossamer {

// An inner node of a tree: the root, or an aggregator between it and the clients.
struct TreeNode {
  ClientId id = 0;      // TreePlan::kRoot, or data.clients + J for aggregator J
  ClientId parent = 0;  // TreePlan::kRoot, or an aggregator's id
  std::int64_t level = 0;
  ClientId first_child = 0;  // children have consecutive ids
  std::int64_t children = 0;
  bool over_clients = false;  // its children are clients; otherwise aggregators
};

// Who is whose parent: clients 0 .. clients - 1, aggregators from `clients` on, level by level from the root
// down. All aggregators of a level have equally many children; the clients are shared out evenly, in order.
// Pure and immutable.
class TreePlan {
 public:
  static constexpr ClientId kRoot = -1;

  // `fanout`: children of each inner node, but of the lowest ones, from the root down. Throws ConfigError
  // where an aggregator would have no client.
  TreePlan(std::int64_t clients, const std::vector<std::int64_t>& fanout);

  std::int64_t clients() const noexcept { return clients_; }
  std::int64_t levels() const noexcept { return nodes_.back().level; }
  const TreeNode& root() const noexcept { return nodes_.front(); }
  std::int64_t aggregators() const noexcept { return static_cast<std::int64_t>(nodes_.size()) - 1; }
  const TreeNode& aggregator(std::int64_t j) const { return nodes_.at(static_cast<std::size_t>(j) + 1); }
  // An inner node by its id.
  const TreeNode& node(ClientId id) const { return id == kRoot ? root() : aggregator(id - clients_); }
  // Of a client or an aggregator.
  ClientId parent_of(ClientId id) const;

 private:
  std::int64_t clients_;
  std::vector<TreeNode> nodes_;  // the root first
};

// topology.tree.fanout as numbers. Throws ConfigError.
std::vector<std::int64_t> tree_fanout(const Options& options);

std::vector<OptionSpec> tree_options();

}  // namespace gossamer
