// An aggregator, driven by hand: what it asks of its children and says to its parent.
#include "server/edge_aggregator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_support.h"
#include "core/error.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Compressed model_content(std::vector<float> values) { return update_of(0, 0, std::move(values)).content; }

std::vector<float> content_of(const Compressed& content) {
  std::vector<float> values(content.elements);
  std::memcpy(values.data(), content.payload.bytes.data(), values.size() * sizeof(float));
  return values;
}

// Aggregator 1 of two, with clients 2 and 3 of four.
class Edge : public ::testing::Test {
 protected:
  void configure(std::map<std::string, std::string> keys) {
    keys.emplace("topology.name", "tree");
    keys.emplace("cohort.fraction", "1");
    const Options options = server_options(keys);
    plan_ = std::make_unique<TreePlan>(options.integer("data.clients"), tree_fanout(options));
    edge_ = std::make_unique<EdgeAggregator>(options, *plan_, plan_->aggregator(1), model_of({9, 9}));
  }
  Actions ask(Round round, std::vector<float> model) {
    auto actions = edge_->asked(round, model_content(std::move(model)), 0);
    EXPECT_TRUE(actions.ok());
    return std::move(actions).value();
  }
  static const CompressedUpdate& reported(const Actions& actions) {
    return std::get<Report>(actions.back()).update;
  }
  // Both children have come and the parent's first model is here.
  SendModel begin(std::vector<float> model) {
    edge_->joined(2, 0);
    edge_->joined(3, 0);
    return std::get<SendModel>(ask(1, std::move(model)).at(0));
  }

  std::unique_ptr<TreePlan> plan_;
  std::unique_ptr<EdgeAggregator> edge_;
};

TEST_F(Edge, StartsWhenItHasItsChildrenAndItsParentsModel) {
  configure({});
  EXPECT_TRUE(edge_->waits_for_parent());
  EXPECT_TRUE(edge_->joined(3, 0).empty());
  EXPECT_TRUE(edge_->is_present(3));
  EXPECT_FALSE(edge_->is_present(2));
  EXPECT_TRUE(ask(1, {1, 2}).empty());
  EXPECT_FALSE(edge_->waits_for_parent());
  const Actions actions = edge_->joined(2, 0);
  const auto& send = std::get<SendModel>(actions.at(0));
  EXPECT_THAT(send.clients, ElementsAre(2, 3));
  EXPECT_EQ(send.round, 1);
  EXPECT_THAT(values_of(send), ElementsAre(1, 2));
}

TEST_F(Edge, AnswersWithTheWeightedMeanAndTheSumOfTheWeights) {
  configure({});
  begin({1, 2});
  EXPECT_TRUE(edge_->arrived(update_of(3, 1, {4, 0}, 3), 1).empty());
  const Actions actions = edge_->arrived(update_of(2, 1, {0, 8}, 1), 1);
  ASSERT_EQ(actions.size(), 1U);
  const CompressedUpdate& update = reported(actions);
  EXPECT_EQ(update.info.client, 5);
  EXPECT_EQ(update.info.round, 1);
  EXPECT_EQ(update.info.weight, 4);
  EXPECT_EQ(update.info.samples, 20);
  EXPECT_DOUBLE_EQ(update.info.train_loss, 0.5);
  EXPECT_THAT(content_of(update.content), ElementsAre(3, 2));
  // A header and two floats each way for each child.
  EXPECT_EQ(*update.info.subtree, (SubtreeReport{2, 0, 0, 2 * 104, 2 * 104}));
  EXPECT_TRUE(edge_->waits_for_parent());
}

TEST_F(Edge, TheNextRoundBeginsWithTheParentsModel) {
  configure({});
  begin({1, 2});
  edge_->arrived(update_of(2, 1, {1, 1}), 1);
  edge_->arrived(update_of(3, 1, {1, 1}), 1);
  const Actions actions = ask(5, {10, 20});
  const auto& send = std::get<SendModel>(actions.at(0));
  EXPECT_EQ(send.round, 5) << "in lockstep with one round each, rounds are the parent's";
  EXPECT_THAT(values_of(send), ElementsAre(10, 20));
  edge_->arrived(update_of(2, 5, {2, 0}), 1);
  const Actions end = edge_->arrived(update_of(3, 5, {4, 0}), 1);
  EXPECT_THAT(content_of(reported(end).content), ElementsAre(3, 0));
  EXPECT_EQ(reported(end).info.subtree->bytes_up, 2 * 104) << "of this round";
}

TEST_F(Edge, SeveralRoundsMakeOneAnswer) {
  configure({{"topology.tree.rounds", "2"}});
  begin({0, 0});
  edge_->arrived(update_of(2, 1, {1, 0}), 1);
  const Actions second = edge_->arrived(update_of(3, 1, {3, 0}), 1);
  EXPECT_EQ(std::get<SendModel>(second.at(0)).round, 2);
  EXPECT_THAT(values_of(std::get<SendModel>(second.at(0))), ElementsAre(2, 0));
  edge_->arrived(update_of(2, 2, {0, 1}), 1);
  const Actions end = edge_->arrived(update_of(3, 2, {0, 1}), 1);
  EXPECT_THAT(content_of(reported(end).content), ElementsAre(2, 1));
  EXPECT_EQ(reported(end).info.weight, 2) << "of a round";
  EXPECT_EQ(reported(end).info.samples, 40);
}

TEST_F(Edge, TheSameRoundAgainIsAnsweredWithTheSameUpdate) {
  configure({{"topology.tree.filter", "gaia"}, {"topology.tree.filter.threshold", "1"}});
  begin({1, 1});
  EXPECT_TRUE(ask(1, {1, 1}).empty()) << "it is at work on it";
  edge_->arrived(update_of(2, 1, {0.5F, 2}), 1);
  const Actions once = edge_->arrived(update_of(3, 1, {0.5F, 2}), 1);
  const Actions twice = ask(1, {1, 1});
  ASSERT_EQ(twice.size(), 1U);
  EXPECT_EQ(content_of(reported(once).content), content_of(reported(twice).content));
  // The residual of the first element was kept once.
  ask(2, {1, 1});
  edge_->arrived(update_of(2, 2, {0.25F, 0}), 1);
  edge_->arrived(update_of(3, 2, {0.25F, 0}), 1);
  ask(3, {0, 0});
  edge_->arrived(update_of(2, 3, {0, 0}), 1);
  const Actions end = edge_->arrived(update_of(3, 3, {0, 0}), 1);
  std::vector<float> values(2);
  const auto& content = reported(end).content;
  ASSERT_TRUE(update_filters()
                  .make(server_options({{"topology.name", "tree"}, {"topology.tree.filter", "gaia"}}))
                  ->codec()
                  ->decompress(content, values)
                  .ok());
  EXPECT_THAT(values, ElementsAre(0, 0)) << "0.5 + 0.25 passed 1 / sqrt(2) in round 2";
}

TEST_F(Edge, WhatHappensWhileItRestsIsHeardWithTheNextModel) {
  configure({{"cohort.min_size", "1"}});
  begin({0, 0});
  edge_->arrived(update_of(2, 1, {1, 1}), 1);
  edge_->arrived(update_of(3, 1, {1, 1}), 1);
  EXPECT_TRUE(edge_->left(2, "went away", 2).empty());
  EXPECT_FALSE(edge_->is_present(2));
  // The round begins with both, and then the one is missed.
  ask(2, {0, 0});
  const Actions end = edge_->arrived(update_of(3, 2, {4, 4}), 3);
  EXPECT_THAT(content_of(reported(end).content), ElementsAre(4, 4));
  EXPECT_EQ(reported(end).info.subtree->dropped, 1);
  EXPECT_EQ(reported(end).info.subtree->clients, 1);
}

TEST_F(Edge, WithoutEnoughChildrenItEndsAndNamesThem) {
  configure({{"cohort.min_size", "2"}});
  begin({0, 0});
  edge_->left(2, "went away", 1);
  edge_->arrived(update_of(3, 1, {4, 4}), 1);
  const Actions actions = ask(2, {0, 0});
  const auto& finish = std::get<Finish>(actions.at(0));
  EXPECT_FALSE(finish.success);
  EXPECT_THAT(finish.reason, HasSubstr("client 2 (went away)"));
}

TEST_F(Edge, AnOrderThatComesTooEarlyWaits) {
  configure({});
  begin({0, 0});
  EXPECT_TRUE(ask(2, {5, 5}).empty());
  edge_->arrived(update_of(2, 1, {1, 1}), 1);
  const Actions actions = edge_->arrived(update_of(3, 1, {1, 1}), 1);
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_EQ(std::get<Report>(actions[0]).update.info.round, 1);
  EXPECT_EQ(std::get<SendModel>(actions[1]).round, 2);
  EXPECT_THAT(values_of(std::get<SendModel>(actions[1])), ElementsAre(5, 5));
}

TEST_F(Edge, AModelThatDoesNotFitAndHasWaitedEndsIt) {
  configure({});
  begin({0, 0});
  EXPECT_TRUE(ask(2, {5, 5, 5}).empty());
  edge_->arrived(update_of(2, 1, {1, 1}), 1);
  const Actions actions = edge_->arrived(update_of(3, 1, {1, 1}), 1);
  EXPECT_EQ(std::get<Report>(actions.at(0)).update.info.round, 1);
  EXPECT_FALSE(std::get<Finish>(actions.at(1)).success);
}

TEST_F(Edge, AModelThatDoesNotFitIsAFault) {
  configure({});
  EXPECT_FALSE(edge_->asked(1, model_content({1, 2, 3}), 0).ok());
}

TEST_F(Edge, AsynchronousRoundsAreAsManyUpdatesAsACohortHas) {
  configure({{"topology.tree.sync", "async"}});
  begin({0, 0});
  // server.lr is 1 / 2 here.
  Actions actions = edge_->arrived(update_of(2, 1, {2, 0}), 1);
  EXPECT_EQ(actions.size(), 1U);
  EXPECT_THAT(values_of(std::get<SendModel>(actions.at(0))), ElementsAre(1, 0));
  actions = edge_->arrived(update_of(2, 2, {2, 0}), 1);
  EXPECT_THAT(content_of(reported(actions).content), ElementsAre(2, 0));
  // The update of client 3 comes while the edge rests.
  EXPECT_TRUE(edge_->arrived(update_of(3, 1, {0, 4}), 2).empty());
  ask(2, {10, 10});
  const Actions end = edge_->arrived(update_of(2, 3, {0, 0}), 3);
  EXPECT_THAT(content_of(reported(end).content), ElementsAre(0, 2));
}

TEST_F(Edge, BoundedStalenessEndsARoundWithTheSlowest) {
  configure({{"topology.tree.sync", "ssp"}});
  begin({0, 0});
  Actions actions = edge_->arrived(update_of(2, 1, {2, 0}), 1);
  EXPECT_EQ(std::get<SendModel>(actions.at(0)).round, 2) << "it goes on by itself";
  actions = edge_->arrived(update_of(3, 1, {0, 2}), 1);
  EXPECT_THAT(content_of(reported(actions).content), ElementsAre(1, 1));
}

TEST_F(Edge, ABufferIsNoLargerThanWhatIsAtWork) {
  configure({{"topology.tree.sync", "buffered"}});
  begin({0, 0});
  EXPECT_EQ(edge_->arrived(update_of(2, 1, {2, 0}), 1).size(), 1U);
  const Actions actions = edge_->arrived(update_of(3, 1, {0, 2}), 1);
  EXPECT_THAT(content_of(reported(actions).content), ElementsAre(1, 1));
}

TEST(TreeModes, AreOneForAllOrOneALevel) {
  const auto mode = [](const char* text, std::int64_t j) {
    const Options options = server_options({{"topology.name", "tree"},
                                            {"topology.tree.fanout", "2,2"},
                                            {"topology.tree.sync", text},
                                            {"sync.mode", "buffered"}});
    const TreePlan plan(4, {2, 2});
    return tree_sync_mode(options, plan, j < 0 ? plan.root() : plan.aggregator(j));
  };
  EXPECT_EQ(mode("ssp", -1), "buffered");
  EXPECT_EQ(mode("ssp", 0), "ssp");
  EXPECT_EQ(mode("ssp", 5), "ssp");
  EXPECT_EQ(mode("ssp,async", 0), "ssp");
  EXPECT_EQ(mode("ssp,async", 5), "async");
  EXPECT_THROW(mode("ssp,", 0), ConfigError);
  EXPECT_THROW(mode("often", 0), ConfigError);
  EXPECT_THROW(mode("bsp,bsp,bsp", 0), ConfigError);
}

}  // namespace
}  // namespace gossamer
