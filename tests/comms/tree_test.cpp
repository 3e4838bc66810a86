// Who is whose parent in a tree.
#include "comms/topologies/tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comms/topologies/topology.h"
#include "core/error.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Tree, OneLevelSharesClientsOutEvenlyAndInOrder) {
  const TreePlan plan(10, {3});
  EXPECT_EQ(plan.aggregators(), 3);
  EXPECT_EQ(plan.levels(), 1);
  EXPECT_EQ(plan.root().first_child, 10);
  EXPECT_EQ(plan.root().children, 3);
  EXPECT_FALSE(plan.root().over_clients);
  std::vector<ClientId> first, count;
  for (std::int64_t j = 0; j < 3; ++j) {
    EXPECT_EQ(plan.aggregator(j).id, 10 + j);
    EXPECT_EQ(plan.aggregator(j).parent, TreePlan::kRoot);
    EXPECT_TRUE(plan.aggregator(j).over_clients);
    first.push_back(plan.aggregator(j).first_child);
    count.push_back(plan.aggregator(j).children);
  }
  EXPECT_THAT(first, ElementsAre(0, 3, 6));
  EXPECT_THAT(count, ElementsAre(3, 3, 4));
}

TEST(Tree, LevelsAreNumberedFromTheRootDown) {
  const TreePlan plan(12, {2, 3});
  EXPECT_EQ(plan.aggregators(), 8);
  EXPECT_EQ(plan.levels(), 2);
  EXPECT_EQ(plan.aggregator(1).first_child, 12 + 5);
  EXPECT_EQ(plan.aggregator(1).children, 3);
  EXPECT_FALSE(plan.aggregator(1).over_clients);
  EXPECT_EQ(plan.aggregator(5).parent, 13);
  EXPECT_EQ(plan.aggregator(5).level, 2);
  EXPECT_EQ(plan.aggregator(5).first_child, 6);
}

TEST(Tree, EveryChildHasTheParentThatHasIt) {
  for (const auto& [clients, fanout] : std::vector<std::pair<std::int64_t, std::vector<std::int64_t>>>{
           {1, {1}}, {7, {7}}, {100, {4, 5}}, {101, {10, 5}}, {64, {2, 2, 2, 2}}, {13, {1, 1, 6}}}) {
    const TreePlan plan(clients, fanout);
    std::vector<int> parents(static_cast<std::size_t>(clients + plan.aggregators()));
    const auto look_at = [&](const TreeNode& node) {
      EXPECT_GE(node.children, 1);
      for (ClientId child = node.first_child; child < node.first_child + node.children; ++child) {
        EXPECT_EQ(plan.parent_of(child), node.id);
        EXPECT_EQ(child < clients, node.over_clients);
        ++parents.at(static_cast<std::size_t>(child));
      }
    };
    look_at(plan.root());
    for (std::int64_t j = 0; j < plan.aggregators(); ++j) look_at(plan.aggregator(j));
    EXPECT_THAT(parents, ::testing::Each(1));
  }
}

TEST(Tree, AnAggregatorWithoutAClientIsRefused) {
  EXPECT_THROW(TreePlan(3, {4}), ConfigError);
  EXPECT_THROW(TreePlan(5, {2, 3}), ConfigError);
  EXPECT_THROW(TreePlan(100, {10, 1'000'000'000'000}), ConfigError);
}

TEST(Tree, FanoutIsNumbersAndNothingElse) {
  auto schema = std::make_shared<OptionSchema>();
  add_methods(*schema, topologies().describe());
  Options options(schema);
  options.set("topology.name", "tree");
  const auto fanout = [&](const char* text) {
    options.set("topology.tree.fanout", text);
    return tree_fanout(options);
  };
  EXPECT_THAT(fanout("4"), ElementsAre(4));
  EXPECT_THAT(fanout("10,5,2"), ElementsAre(10, 5, 2));
  for (const char* wrong : {"", "0", "-2", "4,", ",4", "4;2", "four", "99999999999999999999"}) {
    try {
      static_cast<void>(fanout(wrong));
      ADD_FAILURE() << wrong;
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), HasSubstr("topology.tree.fanout"));
    }
  }
}

}  // namespace
}  // namespace gossamer
