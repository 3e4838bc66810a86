// A whole tree in one process, driven by hand.
#include "server/tree_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <deque>
#include <functional>
#include <random>

#include "coordinator_support.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Options tree(std::map<std::string, std::string> given) {
  given.emplace("topology.name", "tree");
  given.emplace("cohort.fraction", "1");
  given.emplace("run.rounds", "3");
  return server_options(given);
}

std::vector<ClientId> asked(const Actions& actions) {
  std::vector<ClientId> clients;
  for (const Action& action : actions) {
    if (const auto* send = std::get_if<SendModel>(&action))
      clients.insert(clients.end(), send->clients.begin(), send->clients.end());
  }
  return clients;
}

Actions join_all_of(Coordination& coordination) {
  Actions all;
  for (ClientId client = 0; client < coordination.population(); ++client)
    std::ranges::move(coordination.joined(client, 0), std::back_inserter(all));
  return all;
}

// Random updates of clients with different numbers of examples: a tree makes the model that a server makes of
// them.
TEST(TreeCoordinator, InLockstepIsTheParameterServerUpToRounding) {
  for (const char* fanout : {"1", "3", "2,2", "1,2,2"}) {
    const std::map<std::string, std::string> keys{{"data.clients", "7"},
                                                  {"topology.tree.fanout", fanout},
                                                  {"server.optimizer", "momentum"},
                                                  {"server.lr", "0.5"}};
    const Options options = tree(keys);
    const auto initial = model_of({1, -2, 0.5F, 4});
    TreeCoordinator one(options, initial);
    const auto other = make_coordinator(options, initial);
    std::vector<ClientId> everybody{0, 1, 2, 3, 4, 5, 6};
    EXPECT_EQ(asked(join_all_of(one)), everybody);
    join_all(*other);
    std::mt19937 random(3);
    std::normal_distribution<float> normal;
    for (Round round = 1; round <= 3; ++round) {
      const Commit* flat_end = nullptr;
      const Commit* tree_end = nullptr;
      Actions a, b;
      for (const ClientId client : everybody) {
        const auto update = update_of(client, round, {normal(random), normal(random), normal(random), 0},
                                      1 + static_cast<double>(client));
        a = one.arrived(update, 1);
        b = other->arrived(update, 1);
      }
      tree_end = commit_in(a);
      flat_end = commit_in(b);
      ASSERT_NE(tree_end, nullptr);
      ASSERT_NE(flat_end, nullptr);
      for (std::size_t i = 0; i < 4; ++i) {
        const float expected = other->model()->values[i];
        EXPECT_NEAR(one.model()->values[i], expected, 1e-6F * std::max(1.0F, std::abs(expected))) << fanout;
      }
      EXPECT_EQ(tree_end->metrics.clients, 7);
      EXPECT_EQ(tree_end->metrics.samples, flat_end->metrics.samples);
      EXPECT_DOUBLE_EQ(tree_end->metrics.train_loss, flat_end->metrics.train_loss);
      EXPECT_EQ(tree_end->weight, flat_end->weight);
      const Actions next = one.committed(std::nullopt, 1);
      other->committed(std::nullopt, 1);
      if (round < 3) {
        EXPECT_EQ(asked(next), everybody);
      } else {
        EXPECT_TRUE(std::get<Finish>(next.at(0)).success);
      }
    }
  }
}

TEST(TreeCoordinator, CountsTheLinksAboveTheClients) {
  TreeCoordinator coordinator(tree({{"data.clients", "4"}, {"topology.tree.fanout", "1,2"}}), model_of({0}));
  join_all_of(coordinator);
  Actions actions;
  for (ClientId client = 0; client < 4; ++client) actions = coordinator.arrived(update_of(client, 1, {1}), 1);
  // Three aggregators: a model of one float each, and an update of one float with its report.
  const RoundMetrics& metrics = commit_in(actions)->metrics;
  EXPECT_EQ(metrics.bytes_down, 3U * 100);
  EXPECT_EQ(metrics.bytes_up, 3U * 140);
}

TEST(TreeCoordinator, FramesTakeTheirTimeOnAVirtualClock) {
  TreeCoordinator coordinator(
      tree({{"data.clients", "2"}, {"topology.tree.fanout", "1"}}), model_of({0}),
      {[](std::size_t bytes, ClientId id, Round round, Seconds now) {
         EXPECT_EQ(bytes, 100U);
         EXPECT_EQ(id, 2);
         return now + static_cast<Seconds>(round);
       },
       [](std::size_t bytes, ClientId, Round, Seconds now) { return now + static_cast<Seconds>(bytes); }});
  Actions actions = join_all_of(coordinator);
  ASSERT_EQ(actions.size(), 1U);
  const Wake model = std::get<Wake>(actions[0]);
  EXPECT_EQ(model.at, 1);
  actions = coordinator.deadline(model.token, model.at);
  EXPECT_THAT(asked(actions), ElementsAre(0, 1));
  EXPECT_TRUE(coordinator.deadline(model.token, model.at).empty()) << "it was delivered";
  coordinator.arrived(update_of(0, 1, {1}), 2);
  actions = coordinator.arrived(update_of(1, 1, {1}), 3);
  const Wake update = std::get<Wake>(actions.at(0));
  EXPECT_EQ(update.at, 3 + 140);
  actions = coordinator.deadline(update.token, update.at);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(1));
}

TEST(TreeCoordinator, GoesOnWithoutAnAggregatorThatHasTooFewClients) {
  TreeCoordinator coordinator(tree({{"data.clients", "4"},
                                    {"topology.tree.fanout", "2"},
                                    {"cohort.min_size", "2"},
                                    {"run.rounds", "9"}}),
                              model_of({0}));
  join_all_of(coordinator);
  coordinator.arrived(update_of(0, 1, {1}), 1);
  coordinator.arrived(update_of(1, 1, {1}), 1);
  coordinator.arrived(update_of(3, 1, {9}), 1);
  Actions actions = coordinator.left(2, "gone", 1);
  ASSERT_NE(commit_in(actions), nullptr);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(1)) << "one update is too few for aggregator 1";
  actions = coordinator.committed(std::nullopt, 1);
  EXPECT_THAT(asked(actions), ElementsAre(0, 1));
  coordinator.arrived(update_of(0, 2, {1}), 1);
  actions = coordinator.left(1, "gone too", 2);
  ASSERT_NE(commit_in(actions), nullptr);
  // Aggregator 0 finds that it has too few when it is asked again.
  actions = coordinator.committed(std::nullopt, 2);
  EXPECT_EQ(commit_in(actions)->metrics.clients, 0);
  actions = coordinator.committed(std::nullopt, 2);
  const auto& finish = std::get<Finish>(actions.at(0));
  EXPECT_FALSE(finish.success);
  EXPECT_THAT(finish.reason, HasSubstr("aggregator 0 ("));
  EXPECT_THAT(finish.reason, HasSubstr("aggregator 1 ("));
}

// Every sync mode above and below, with clients that answer in turn: the run ends.
TEST(TreeCoordinator, EveryPairOfSyncModesComesToItsEnd) {
  for (const std::string& above : sync_policies().names()) {
    for (const std::string& below : sync_policies().names()) {
      TreeCoordinator coordinator(tree({{"data.clients", "6"},
                                        {"topology.tree.fanout", "3"},
                                        {"sync.mode", above},
                                        {"topology.tree.sync", below},
                                        {"topology.tree.rounds", "2"}}),
                                  model_of({0}));
      std::deque<CompressedUpdate> answers;
      bool finished = false;
      const std::function<void(const Actions&)> perform = [&](const Actions& actions) {
        for (const Action& action : actions) {
          if (const auto* send = std::get_if<SendModel>(&action)) {
            for (const ClientId client : send->clients)
              answers.push_back(update_of(client, send->round, {1}, 1));
          }
          if (std::holds_alternative<Commit>(action)) perform(coordinator.committed(std::nullopt, 0));
          if (const auto* finish = std::get_if<Finish>(&action)) finished = finish->success;
        }
      };
      for (ClientId client = 0; client < 6; ++client) perform(coordinator.joined(client, 0));
      for (int step = 0; step < 10'000 && !finished && !answers.empty(); ++step) {
        const CompressedUpdate update = answers.front();
        answers.pop_front();
        perform(coordinator.arrived(update, 0));
      }
      EXPECT_TRUE(finished) << above << " over " << below;
      EXPECT_EQ(coordinator.version(), 3);
      EXPECT_GT(coordinator.model()->values[0], 0);
    }
  }
}

}  // namespace
}  // namespace gossamer
