// The coordinator, driven by hand: whole federations with losses, duplicates and late updates, without a
// network.
#include "server/lockstep_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "coordinator_support.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// All clients take part in every round unless `given` says otherwise.
Options everybody(std::map<std::string, std::string> given) {
  given.emplace("cohort.fraction", "1");
  given.emplace("run.rounds", "3");
  return server_options(given);
}

const SendModel& sent(const Actions& actions) { return std::get<SendModel>(actions.at(0)); }
// A commit is the last action of its event.
const RoundMetrics& committed(const Actions& actions) { return std::get<Commit>(actions.back()).metrics; }
const Finish& finished(const Actions& actions) { return std::get<Finish>(actions.at(0)); }

TEST(Coordinator, StartsWhenTheLastClientHasJoined) {
  LockstepCoordinator coordinator(everybody({}), model_of({1}));
  for (ClientId client : {2, 0, 3}) EXPECT_TRUE(coordinator.joined(client, 0).empty());
  EXPECT_TRUE(coordinator.joined(3, 0).empty()) << "joining twice is joining once";
  EXPECT_THAT(sent(coordinator.joined(1, 0)).clients, ElementsAre(0, 1, 2, 3));
}

TEST(Coordinator, CommitsTheWeightedMeanAndStartsTheNextRound) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "2"}}), model_of({1, 1}));
  join_all(coordinator);
  EXPECT_TRUE(coordinator.arrived(update_of(0, 1, {1, 0}, 3), 1).empty());
  const Actions actions = coordinator.arrived(update_of(1, 1, {5, 4}, 1), 2);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(1 + 2, 1 + 1));
  EXPECT_EQ(committed(actions).clients, 2);
  EXPECT_EQ(committed(actions).time_s, 2);
  EXPECT_EQ(sent(coordinator.committed(std::nullopt, 2)).round, 2);
}

// What a round without noise would tell: that everybody who was drawn has failed.
TEST(Coordinator, APrivateRoundThatLostEverybodyHasItsNoise) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "2"},
                                             {"privacy.mechanism", "gaussian"},
                                             {"privacy.placement", "central"},
                                             {"privacy.clip_norm", "1"},
                                             {"privacy.noise_multiplier", "1"},
                                             {"privacy.insecure_seed", "1"}}),
                                  model_of({0, 0}));
  join_all(coordinator);
  coordinator.dropped(0, 1, 1);
  const Actions actions = coordinator.dropped(1, 1, 1);
  EXPECT_EQ(committed(actions).dropped, 2);
  EXPECT_NE(coordinator.model()->values[0], 0);
  EXPECT_NE(coordinator.model()->values[1], coordinator.model()->values[0]);
}

TEST(Coordinator, OrderOfArrivalDoesNotReachTheModel) {
  const std::vector<std::vector<float>> updates{{1e8F}, {1.0F}, {-1e8F}, {0.125F}};
  std::vector<std::size_t> order{0, 1, 2, 3};
  std::optional<float> first;
  std::mt19937 shuffle(1);
  for (int trial = 0; trial < 24; ++trial) {
    LockstepCoordinator coordinator(everybody({}), model_of({0}));
    join_all(coordinator);
    Actions actions;
    for (std::size_t i : order)
      actions = coordinator.arrived(update_of(static_cast<ClientId>(i), 1, updates[i]), 1);
    const float value = coordinator.model()->values[0];
    EXPECT_EQ(value, first.value_or(value));
    first = value;
    std::ranges::shuffle(order, shuffle);
  }
}

TEST(Coordinator, AnUpdateIsAppliedOnceAndOnlyInItsRound) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "2"}}), model_of({0}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {4}), 1);
  EXPECT_TRUE(coordinator.arrived(update_of(0, 1, {4}), 1).empty());
  EXPECT_TRUE(coordinator.arrived(update_of(1, 2, {100}), 1).empty()) << "a round that has not begun";
  EXPECT_TRUE(coordinator.arrived(update_of(1, 0, {100}), 1).empty()) << "a round that is over";
  const Actions actions = coordinator.arrived(update_of(1, 1, {0}), 1);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(2));
  EXPECT_EQ(committed(actions).rejected, 2);
}

TEST(Coordinator, MalformedUpdatesAreRefusedAndCounted) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "3"}}), model_of({0}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {std::numeric_limits<float>::quiet_NaN()}), 1);
  coordinator.arrived(update_of(1, 1, {1, 2}), 1);
  const Actions actions = coordinator.arrived(update_of(2, 1, {3}), 1);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(3));
  EXPECT_EQ(committed(actions).rejected, 2);
  EXPECT_EQ(committed(actions).clients, 1);
}

TEST(Coordinator, ALostClientDoesNotHangTheRound) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "3"}}), model_of({0}));
  join_all(coordinator);
  coordinator.arrived(update_of(2, 1, {4}), 1);
  EXPECT_TRUE(coordinator.left(0, "gone", 1).empty());
  const Actions actions = coordinator.arrived(update_of(1, 1, {2}), 1);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(3));
  EXPECT_EQ(committed(actions).dropped, 1);
  EXPECT_THAT(sent(coordinator.committed(std::nullopt, 1)).clients, ElementsAre(1, 2))
      << "only those who are here";
}

TEST(Coordinator, AClientThatComesBackIsGivenTheOpenRound) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "2"}}), model_of({0}));
  join_all(coordinator);
  coordinator.left(1, "reset", 1);
  EXPECT_THAT(sent(coordinator.joined(1, 2)).clients, ElementsAre(1));
  coordinator.arrived(update_of(0, 1, {1}), 3);
  const Actions actions = coordinator.arrived(update_of(1, 1, {3}), 3);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(2));
  EXPECT_EQ(committed(actions).dropped, 0);
}

TEST(Coordinator, EndsWhenTooFewAreLeftAndSaysWho) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "2"}, {"cohort.min_size", "2"}}),
                                  model_of({7}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {1}), 1);
  const Actions actions = coordinator.left(1, "connection reset", 1);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(7)) << "one update is not enough";
  const Actions end = coordinator.committed(std::nullopt, 1);
  EXPECT_FALSE(finished(end).success);
  EXPECT_THAT(finished(end).reason, HasSubstr("client 1 (connection reset)"));
}

TEST(Coordinator, WhatAnAbandonedRoundReceivedIsForgotten) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "3"}, {"cohort.min_size", "2"}}),
                                  model_of({0}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {100}), 1);
  coordinator.left(1, "gone", 1);
  coordinator.left(2, "gone", 1);
  coordinator.joined(1, 1);
  coordinator.committed(std::nullopt, 1);
  coordinator.arrived(update_of(0, 2, {1}), 2);
  const Actions actions = coordinator.arrived(update_of(1, 2, {3}), 2);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(2));
}

TEST(Coordinator, TheDeadlineEndsARound) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "2"}, {"cohort.deadline_s", "5"}}),
                                  model_of({0}));
  const Actions start = join_all(coordinator);
  EXPECT_EQ(sent(start).deadline, 5);
  coordinator.arrived(update_of(1, 1, {6}), 1);
  const Actions actions = coordinator.deadline(1, 5);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(6));
  EXPECT_EQ(committed(actions).dropped, 1);
  coordinator.committed(std::nullopt, 5);
  EXPECT_TRUE(coordinator.deadline(1, 5).empty()) << "a deadline of an earlier round";
  EXPECT_TRUE(coordinator.arrived(update_of(0, 1, {6}), 6).empty()) << "too late";
}

TEST(Coordinator, StopsAtTheTargetOrAfterTheLastRound) {
  LockstepCoordinator coordinator(everybody({{"data.clients", "1"}, {"run.target_accuracy", "0.9"}}),
                                  model_of({0}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {1}), 1);
  EXPECT_EQ(sent(coordinator.committed(0.89, 1)).round, 2);
  coordinator.arrived(update_of(0, 2, {1}), 1);
  EXPECT_EQ(finished(coordinator.committed(0.9, 1)).reason, "target_accuracy");

  LockstepCoordinator short_run(everybody({{"data.clients", "1"}, {"run.rounds", "1"}}), model_of({0}));
  join_all(short_run);
  short_run.arrived(update_of(0, 1, {1}), 1);
  const Actions end = short_run.committed(std::nullopt, 1);
  EXPECT_TRUE(finished(end).success);
  EXPECT_EQ(finished(end).reason, "rounds");
}

TEST(Coordinator, StragglersAreDroppedUnlessPartialWorkIsKept) {
  const std::map<std::string, std::string> given{{"data.clients", "1000"},
                                                 {"devices.straggler_fraction", "0.5"}};
  LockstepCoordinator dropping(everybody(given), model_of({0}));
  const auto asked = static_cast<double>(sent(join_all(dropping)).clients.size());
  EXPECT_NEAR(asked, 500, 5 * std::sqrt(250));
  std::map<std::string, std::string> keeping = given;
  keeping["algorithm.name"] = "fedprox";
  LockstepCoordinator prox(everybody(keeping), model_of({0}));
  EXPECT_EQ(sent(join_all(prox)).clients.size(), 1000U);
}

TEST(Coordinator, ResumesWhereItsCheckpointWasTaken) {
  for (const std::string& name : server_optimizers().names()) {
    const Options options = everybody({{"data.clients", "1"}, {"server.optimizer", name}});
    LockstepCoordinator straight(options, model_of({0, 1}));
    join_all(straight);
    straight.arrived(update_of(0, 1, {1, -1}), 1);
    CheckpointWriter writer;
    straight.save(writer);
    const ByteBuffer bytes = writer.encode();
    straight.committed(std::nullopt, 1);
    straight.arrived(update_of(0, 2, {2, 3}), 2);

    LockstepCoordinator resumed(options, model_of({9, 9}));
    resumed.restore(CheckpointReader(bytes, "checkpoint"));
    EXPECT_EQ(sent(join_all(resumed)).round, 2);
    resumed.arrived(update_of(0, 2, {2, 3}), 2);
    EXPECT_EQ(resumed.version(), 2);
    EXPECT_EQ(resumed.model()->values, straight.model()->values) << name;
  }
}

// sync.local_steps = adaptive: the number travels with the model, the budget ends the run, and it returns the
// best model that was measured, not the last one.
TEST(AdaptiveLocalSteps, TheRunReturnsTheBestModelOfItsBudget) {
  const auto coordinator = make_coordinator(server_options({{"data.clients", "1"},
                                                            {"cohort.fraction", "1"},
                                                            {"sync.local_steps", "adaptive"},
                                                            {"sync.budget_s", "10"},
                                                            {"run.rounds", "1000"}}),
                                            model_of({1}));
  Actions actions = coordinator->joined(0, 0);
  Seconds now = 0;
  std::vector<std::int64_t> steps;
  bool last = false;
  while (const auto* send = std::get_if<SendModel>(&actions.at(0))) {
    ASSERT_LT(steps.size(), 100U);
    ASSERT_FALSE(last);
    steps.push_back(send->terms.steps);
    const float x = values_of(*send).at(0);
    CompressedUpdate update = update_of(0, send->round, {1});
    auto report = std::make_shared<TauReport>();
    report->loss = (x - 4) * (x - 4) + 1;
    report->rho = report->beta = x == 1 ? 0 : 1;
    report->step_s = 0.1;
    update.info.tau = std::move(report);
    now += 0.9 + 0.1 * static_cast<double>(send->terms.steps);
    const Actions done = coordinator->arrived(update, now);
    const Commit* commit = commit_in(done);
    ASSERT_NE(commit, nullptr);
    last = commit->last;
    actions = coordinator->committed(std::nullopt, now);
  }
  EXPECT_TRUE(last);
  const auto* finish = std::get_if<Finish>(&actions.at(0));
  ASSERT_NE(finish, nullptr);
  EXPECT_TRUE(finish->success);
  EXPECT_EQ(finish->reason, "budget");
  EXPECT_EQ(steps.front(), 1);
  EXPECT_EQ(steps.back(), 1) << "the last measurement";
  EXPECT_GT(*std::ranges::max_element(steps), 1) << "clients that agree train for longer";
  EXPECT_LE(now, 10);
  EXPECT_EQ(coordinator->model()->values.at(0), 4);
}

TEST(AdaptiveLocalSteps, ACheckpointHoldsTheBestModel) {
  const Options options = server_options({{"data.clients", "1"},
                                          {"cohort.fraction", "1"},
                                          {"sync.local_steps", "adaptive"},
                                          {"sync.budget_s", "4"},
                                          {"run.rounds", "1000"}});
  const auto answer = [](Coordinator& coordinator, Round round, double loss, Seconds now) {
    CompressedUpdate update = update_of(0, round, {1});
    auto report = std::make_shared<TauReport>();
    report->loss = loss;
    report->step_s = 0.1;
    update.info.tau = std::move(report);
    coordinator.arrived(update, now);
    return coordinator.committed(std::nullopt, now);
  };
  const auto first = make_coordinator(options, model_of({1}));
  first->joined(0, 0);
  answer(*first, 1, 0.5, 1);
  CheckpointWriter writer;
  first->save(writer);
  const ByteBuffer bytes = writer.encode();
  const auto resumed = make_coordinator(options, model_of({9}));
  resumed->restore(CheckpointReader(bytes, "memory"));
  resumed->joined(0, 1);
  const Actions end = answer(*resumed, 2, 7, 2.9);
  ASSERT_NE(std::get_if<SendModel>(&end.at(0)), nullptr) << "to measure";
  answer(*resumed, 3, 8, 3.5);
  EXPECT_EQ(resumed->model()->values.at(0), 1) << "the first was the best";
}

}  // namespace
}  // namespace gossamer
