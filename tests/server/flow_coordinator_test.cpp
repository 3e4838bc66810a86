// The coordinator where everybody goes on by itself: ssp, async, buffered. Whole federations without a
// network, on a toy problem whose local step anybody can compute.
#include "server/flow_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <queue>
#include <random>
#include <set>

#include "coordinator_support.h"
#include "server/lockstep_coordinator.h"

namespace gossamer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Options flow(std::map<std::string, std::string> given) {
  given.emplace("cohort.fraction", "1");
  given.emplace("server.weighting", "uniform");
  return server_options(given);
}

// A gradient step of client k on a_k (x - b_k)^2 / 2, as its update.
float toy_update(ClientId client, float x) {
  const float a = 1 + static_cast<float>(client % 3);
  const float b = static_cast<float>(client) - 1;
  return -0.1F * a * (x - b);
}

// A federation whose workers end their work in a random order. Nothing is trained; every read is looked at.
class Fleet {
 public:
  Fleet(const Options& options, std::uint32_t seed)
      : coordinator_(make_coordinator(options, model_of({5}))), random_(seed) {
    const auto clients = static_cast<std::size_t>(coordinator_->population());
    started_.resize(clients);
    completed_.resize(clients);
  }

  Coordinator& coordinator() { return *coordinator_; }
  const std::vector<Round>& started() const { return started_; }      // rounds of work begun
  const std::vector<Round>& completed() const { return completed_; }  // and answered
  bool finished() const { return finished_; }
  bool stuck() const { return !finished_ && at_work_.empty(); }

  void join_everybody() { perform(join_all(*coordinator_)); }
  // One worker at work answers.
  void step() {
    const std::size_t index = random_() % at_work_.size();
    const auto [client, round, x] = at_work_[index];
    at_work_.erase(at_work_.begin() + static_cast<std::ptrdiff_t>(index));
    completed_[static_cast<std::size_t>(client)] = round;
    perform(coordinator_->arrived(update_of(client, round, {toy_update(client, x)}), ++now_));
  }
  void lose(ClientId client) {
    std::erase_if(at_work_, [&](const Work& work) { return work.client == client; });
    completed_[static_cast<std::size_t>(client)] = kGone;
    started_[static_cast<std::size_t>(client)] = kGone;
    perform(coordinator_->left(client, "lost", ++now_));
  }
  static constexpr Round kGone = INT64_MAX;

 private:
  struct Work {
    ClientId client;
    Round round;
    float x;
  };

  void perform(Actions actions) {
    while (!actions.empty()) {
      Actions next;
      for (const Action& action : actions) {
        if (const auto* send = std::get_if<SendModel>(&action)) {
          for (const ClientId client : send->clients) {
            at_work_.push_back({client, send->round, values_of(*send).at(0)});
            started_[static_cast<std::size_t>(client)] = send->round;
          }
        }
        if (std::get_if<Commit>(&action) != nullptr) next = coordinator_->committed(std::nullopt, now_);
        if (std::get_if<Finish>(&action) != nullptr) finished_ = true;
      }
      actions = std::move(next);
    }
  }

  std::unique_ptr<Coordinator> coordinator_;
  std::mt19937 random_;
  std::vector<Work> at_work_;
  std::vector<Round> started_, completed_;
  bool finished_ = false;
  Seconds now_ = 0;
};

// Ho et al. 2013: a worker reads at clock c only once everybody has completed c - s rounds of work, so
// admitted rounds differ by at most s, and completed ones by at most s + 1.
TEST(Ssp, TheBoundHoldsUnderEverySchedule) {
  constexpr int kSchedules = 100'000;
  std::mt19937 random(1);
  std::int64_t at_the_bound = 0;
  std::map<std::pair<std::int64_t, Round>, Options> configurations;  // they take longer than a schedule does
  for (std::int64_t workers = 2; workers < 6; ++workers) {
    for (Round bound = 0; bound < 4; ++bound) {
      configurations.try_emplace({workers, bound}, flow({{"data.clients", std::to_string(workers)},
                                                         {"run.rounds", "6"},
                                                         {"sync.mode", "ssp"},
                                                         {"sync.staleness", std::to_string(bound)}}));
    }
  }
  for (int schedule = 0; schedule < kSchedules; ++schedule) {
    const std::int64_t workers = 2 + random() % 4;
    const Round bound = random() % 4;
    const bool one_leaves = random() % 4 == 0;
    Fleet fleet(configurations.at({workers, bound}), random());
    fleet.join_everybody();
    for (int event = 0; !fleet.finished(); ++event) {
      ASSERT_FALSE(fleet.stuck()) << "schedule " << schedule;
      if (one_leaves && event == 5) fleet.lose(0);
      if (fleet.finished() || fleet.stuck()) continue;
      fleet.step();
      Round least = Fleet::kGone;
      Round most = 0;
      for (const Round completed : fleet.completed()) {
        if (completed == Fleet::kGone) continue;
        least = std::min(least, completed);
        most = std::max(most, completed);
      }
      ASSERT_LE(most, least + bound + 1) << "schedule " << schedule;
      for (const Round started : fleet.started()) {
        if (started == Fleet::kGone) continue;
        // Work number c + 1 reads at clock c.
        ASSERT_LE(started - 1, least + bound) << "schedule " << schedule;
        if (started - 1 == least + bound) ++at_the_bound;
      }
    }
    EXPECT_EQ(fleet.coordinator().version(), 6);
  }
  EXPECT_GT(at_the_bound, kSchedules) << "the bound was never near: the test could not have failed";
}

TEST(Ssp, WithoutStalenessIsBsp) {
  for (std::uint32_t seed = 0; seed < 20; ++seed) {
    std::map<std::string, std::string> keys{{"data.clients", "5"}, {"run.rounds", "30"}};
    Fleet bsp(flow(keys), seed);
    keys["sync.mode"] = "ssp";
    keys["sync.staleness"] = "0";
    Fleet ssp(flow(keys), seed + 100);
    for (Fleet* fleet : {&bsp, &ssp}) {
      fleet->join_everybody();
      while (!fleet->finished()) fleet->step();
    }
    EXPECT_NEAR(bsp.coordinator().model()->values[0], ssp.coordinator().model()->values[0], 1e-6);
  }
}

TEST(Ssp, AWorkerThatComesBackGoesOnWithTheSlowest) {
  FlowCoordinator coordinator(flow({{"data.clients", "2"}, {"sync.mode", "ssp"}, {"sync.staleness", "0"}}),
                              model_of({0}));
  join_all(coordinator);
  coordinator.left(1, "cable", 1);
  Actions actions = coordinator.arrived(update_of(0, 1, {1}), 2);
  ASSERT_NE(commit_in(actions), nullptr) << "nobody waits for one who has left";
  actions = coordinator.committed(std::nullopt, 2);
  ASSERT_EQ(actions.size(), 1U);
  actions = coordinator.joined(1, 3);
  const auto& send = std::get<SendModel>(actions.at(0));
  EXPECT_THAT(send.clients, ElementsAre(1));
  EXPECT_EQ(send.round, 2) << "the second round of work, like the other";
}

TEST(Async, OneWorkerIsSequential) {
  Fleet fleet(flow({{"data.clients", "1"}, {"run.rounds", "50"}, {"sync.mode", "async"}}), 1);
  fleet.join_everybody();
  float x = 5;
  for (Round round = 1; round <= 50; ++round) {
    fleet.step();
    x += toy_update(0, x);
    ASSERT_EQ(fleet.coordinator().model()->values[0], x) << "bit for bit, round " << round;
  }
  EXPECT_TRUE(fleet.finished());
}

TEST(Async, ItsModelIsTheStartPlusAllUpdates) {
  FlowCoordinator coordinator(flow({{"data.clients", "3"}, {"run.rounds", "4"}, {"sync.mode", "async"}}),
                              model_of({0}));
  EXPECT_EQ(join_all(coordinator).size(), 3U) << "everybody is at work";
  // 2 answers twice before 0 does; each gets the model of the moment.
  const auto go_on = [&](const Actions& actions) {
    EXPECT_EQ(actions.size(), 1U);
    EXPECT_NE(commit_in(actions), nullptr);
    return coordinator.committed(std::nullopt, 0);
  };
  Actions next = go_on(coordinator.arrived(update_of(2, 1, {1}), 1));
  EXPECT_THAT(values_of(std::get<SendModel>(next.at(0))), ElementsAre(1));
  next = go_on(coordinator.arrived(update_of(2, 2, {2}), 2));
  EXPECT_THAT(values_of(std::get<SendModel>(next.at(0))), ElementsAre(3));
  Actions third = coordinator.arrived(update_of(0, 1, {4}), 3);
  EXPECT_EQ(commit_in(third)->metrics.staleness_max, 2) << "two versions were made since 0 got its model";
  go_on(third);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(7));
  EXPECT_TRUE(coordinator.arrived(update_of(0, 1, {4}), 4).empty()) << "a duplicate is applied once";
  EXPECT_THAT(coordinator.model()->values, ElementsAre(7));
}

// FedAsync: (1 - alpha_t) w + alpha_t w_k with alpha_t = alpha s(staleness); alpha itself does not compound.
TEST(Async, MixingByHand) {
  FlowCoordinator coordinator(flow({{"data.clients", "2"},
                                    {"sync.mode", "async"},
                                    {"sync.correction", "mixing"},
                                    {"sync.correction.mixing.alpha", "0.5"},
                                    {"sync.staleness_weight", "polynomial"},
                                    {"sync.staleness_weight.polynomial.a", "1"}}),
                              model_of({8}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {-4}), 1);  // its model is 4: 0.5 * 8 + 0.5 * 4
  EXPECT_THAT(coordinator.model()->values, ElementsAre(6));
  coordinator.committed(std::nullopt, 1);
  coordinator.arrived(update_of(1, 1, {-6}), 2);  // its model is 2, one version old: alpha_t = 0.25
  EXPECT_THAT(coordinator.model()->values, ElementsAre(0.75F * 6 + 0.25F * 2));
}

TEST(Async, MixingWithAlphaOneIsTheLastModel) {
  FlowCoordinator coordinator(flow({{"data.clients", "3"},
                                    {"sync.mode", "async"},
                                    {"sync.correction", "mixing"},
                                    {"sync.correction.mixing.alpha", "1"}}),
                              model_of({8}));
  join_all(coordinator);
  for (ClientId client : {2, 0, 1}) {
    coordinator.arrived(update_of(client, 1, {static_cast<float>(client)}), 1);
    EXPECT_THAT(coordinator.model()->values, ElementsAre(8 + static_cast<float>(client)));
    coordinator.committed(std::nullopt, 1);
  }
}

TEST(Async, DelayCompensationByHand) {
  const double lr = 0.5, lambda = 2;
  FlowCoordinator coordinator(flow({{"data.clients", "2"},
                                    {"client.lr", "0.5"},
                                    {"sync.mode", "async"},
                                    {"sync.correction", "delay_compensation"},
                                    {"sync.correction.delay_compensation.lambda", "2"}}),
                              model_of({1}));
  join_all(coordinator);
  coordinator.arrived(update_of(0, 1, {-0.5F}), 1);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(0.5F))
      << "nothing to make up for at staleness 0, exactly";
  coordinator.committed(std::nullopt, 1);
  coordinator.arrived(update_of(1, 1, {-0.25F}), 2);
  const double g = 0.25 / lr;
  EXPECT_NEAR(coordinator.model()->values[0], 0.5 - lr * (g + lambda * g * g * (0.5 - 1)), 1e-6);
}

TEST(StalenessWeights, ByHand) {
  const auto weight = [](std::map<std::string, std::string> keys) {
    return staleness_weights().make(flow(std::move(keys)));
  };
  EXPECT_EQ(weight({})->of(7), 1);
  EXPECT_DOUBLE_EQ(weight({{"sync.staleness_weight", "polynomial"}})->of(3), 0.5);
  const auto hinge = weight({{"sync.staleness_weight", "hinge"}});
  EXPECT_EQ(hinge->of(4), 1);
  EXPECT_DOUBLE_EQ(hinge->of(6), 1.0 / 21);
  for (const std::string& name : staleness_weights().names()) {
    const auto of = weight({{"sync.staleness_weight", name}});
    EXPECT_EQ(of->of(0), 1) << name;
    for (Round staleness = 1; staleness < 100; ++staleness) {
      EXPECT_LE(of->of(staleness), of->of(staleness - 1)) << name;
      EXPECT_GT(of->of(staleness), 0) << name;
    }
  }
}

TEST(Buffered, KUpdatesMakeAVersion) {
  FlowCoordinator coordinator(
      flow({{"data.clients", "4"}, {"sync.mode", "buffered"}, {"sync.buffer", "2"}, {"run.rounds", "5"}}),
      model_of({0}));
  EXPECT_EQ(join_all(coordinator).size(), 4U);
  Actions actions = coordinator.arrived(update_of(3, 1, {1}), 1);
  EXPECT_EQ(commit_in(actions), nullptr);
  EXPECT_THAT(values_of(std::get<SendModel>(actions.at(0))), ElementsAre(0))
      << "it goes on from the old version";
  actions = coordinator.arrived(update_of(3, 2, {3}), 2);
  ASSERT_NE(commit_in(actions), nullptr);
  EXPECT_THAT(coordinator.model()->values, ElementsAre(2));
  EXPECT_EQ(commit_in(actions)->metrics.clients, 2);
}

// FedBuff with K = cohort, fresh updates and equal clients is FedAvg in lockstep.
TEST(Buffered, AWholeCohortOfFreshUpdatesIsFedAvg) {
  FlowCoordinator fedbuff(flow({{"data.clients", "4"},
                                {"sync.mode", "buffered"},
                                {"sync.buffer", "4"},
                                {"sync.staleness_weight", "polynomial"}}),
                          model_of({5}));
  LockstepCoordinator fedavg(flow({{"data.clients", "4"}}), model_of({5}));
  join_all(fedbuff);
  join_all(fedavg);
  for (const ClientId client : {1, 3, 0, 2}) {
    fedbuff.arrived(update_of(client, 1, {toy_update(client, 5)}), 1);
    fedavg.arrived(update_of(client, 1, {toy_update(client, 5)}), 1);
  }
  EXPECT_EQ(fedbuff.version(), 1);
  EXPECT_NE(fedavg.model()->values[0], 5);
  EXPECT_NEAR(fedbuff.model()->values[0], fedavg.model()->values[0], 1e-6);
}

TEST(Flow, KeepsACohortAtWorkDrawnFromTheIdle) {
  FlowCoordinator coordinator(server_options({{"data.clients", "50"},
                                              {"cohort.size", "5"},
                                              {"run.rounds", "1000"},
                                              {"server.weighting", "uniform"},
                                              {"sync.mode", "async"}}),
                              model_of({0}));
  std::map<ClientId, Round> at_work;
  std::set<ClientId> seen;
  Actions actions = join_all(coordinator);
  std::mt19937 random(1);
  for (int event = 0; event < 300; ++event) {
    for (const Action& action : actions) {
      const auto& send = std::get<SendModel>(action);
      EXPECT_TRUE(at_work.try_emplace(send.clients.at(0), send.round).second) << "one piece of work a client";
      seen.insert(send.clients.at(0));
    }
    ASSERT_EQ(at_work.size(), 5U);
    const auto chosen = std::next(at_work.begin(), static_cast<std::ptrdiff_t>(random() % 5));
    const auto [client, round] = *chosen;
    at_work.erase(chosen);
    coordinator.arrived(update_of(client, round, {0}), 1);
    actions = coordinator.committed(std::nullopt, 1);
  }
  EXPECT_GT(seen.size(), 45U) << "everybody has its turn";
}

TEST(Flow, SaysWhoWasLostWhenNobodyIsLeft) {
  FlowCoordinator coordinator(flow({{"data.clients", "2"}, {"sync.mode", "async"}}), model_of({0}));
  join_all(coordinator);
  EXPECT_TRUE(coordinator.left(0, "cable", 1).empty());
  const Actions actions = coordinator.left(1, "power", 2);
  EXPECT_FALSE(std::get<Finish>(actions.at(0)).success);
  EXPECT_THAT(std::get<Finish>(actions.at(0)).reason, HasSubstr("client 0 (cable) client 1 (power)"));
}

// The same answers in the same order, with a break in between and without.
TEST(Flow, AResumedRunTakesUpTheWorkUnderWay) {
  for (const char* mode : {"ssp", "async", "buffered"}) {
    const Options options = flow({{"data.clients", "3"},
                                  {"run.rounds", "12"},
                                  {"sync.mode", mode},
                                  {"sync.correction", std::string(mode) == "ssp" ? "none" : "mixing"}});
    // Work is done in the order in which it was given out.
    struct Run {
      FlowCoordinator coordinator;
      std::queue<std::tuple<ClientId, Round, float>> work;
      void take(const Actions& actions) {
        for (const Action& action : actions) {
          if (const auto* send = std::get_if<SendModel>(&action))
            work.emplace(send->clients.at(0), send->round, values_of(*send).at(0));
        }
      }
      bool step() {  // false at the end of a round
        const auto [client, round, x] = work.front();
        work.pop();
        const Actions actions = coordinator.arrived(update_of(client, round, {toy_update(client, x)}), 1);
        take(actions);
        return commit_in(actions) == nullptr;
      }
    };
    Run whole{FlowCoordinator(options, model_of({5})), {}};
    whole.take(join_all(whole.coordinator));
    ByteBuffer saved;
    Round saved_at = 0;
    for (int step = 0; whole.coordinator.version() < 12; ++step) {
      if (whole.step()) continue;
      EXPECT_TRUE(whole.coordinator.can_save());
      if (whole.coordinator.version() == 5) {
        CheckpointWriter writer;
        whole.coordinator.save(writer);
        saved = writer.encode();
        saved_at = 5;
      }
      whole.take(whole.coordinator.committed(std::nullopt, 1));
      if (whole.coordinator.version() < 12) {
        EXPECT_FALSE(whole.coordinator.can_save()) << "work has been given out";
      }
    }
    ASSERT_EQ(saved_at, 5);
    Run resumed{FlowCoordinator(options, model_of({0})), {}};
    resumed.coordinator.restore(CheckpointReader(saved, "checkpoint"));
    resumed.take(join_all(resumed.coordinator));
    while (resumed.coordinator.version() < 12) {
      if (!resumed.step()) resumed.take(resumed.coordinator.committed(std::nullopt, 1));
    }
    EXPECT_EQ(resumed.coordinator.model()->values, whole.coordinator.model()->values) << mode;
  }
}

// sync.pull = on_request.
class OnRequest : public ::testing::Test {
 protected:
  std::unique_ptr<Coordinator> coordinator(Round rounds = 5) const {
    return make_coordinator(flow({{"data.clients", "2"},
                                  {"sync.mode", "async"},
                                  {"sync.pull", "on_request"},
                                  {"run.rounds", std::to_string(rounds)}}),
                            model_of({1}));
  }
  static const SendModel* send_in(const Actions& actions) {
    return actions.size() == 1 ? std::get_if<SendModel>(&actions[0]) : nullptr;
  }
};

TEST_F(OnRequest, TheModelIsSentWhenItIsAskedFor) {
  const auto made = coordinator();
  EXPECT_TRUE(join_all(*made).empty());
  const Actions first = made->ready(1, 3);
  const SendModel* send = send_in(first);
  ASSERT_NE(send, nullptr);
  EXPECT_THAT(send->clients, ElementsAre(1));
  EXPECT_EQ(send->round, 1);
  EXPECT_EQ(send->since, 3);
  EXPECT_THAT(values_of(*send), ElementsAre(1));

  const Actions done = made->arrived(update_of(1, 1, {0.5}), 4);
  ASSERT_NE(commit_in(done), nullptr);
  EXPECT_TRUE(made->committed(std::nullopt, 4).empty()) << "it trains on";
  const Actions second = made->ready(0, 5);
  ASSERT_NE(send_in(second), nullptr);
  EXPECT_THAT(values_of(*send_in(second)), ElementsAre(1.5F));
  const Actions third = made->ready(1, 6);
  ASSERT_NE(send_in(third), nullptr);
  EXPECT_EQ(send_in(third)->round, 2);
}

TEST_F(OnRequest, RequestsBeforeTheStartAreKept) {
  const auto made = coordinator();
  EXPECT_TRUE(made->joined(0, 0).empty());
  EXPECT_TRUE(made->ready(0, 0).empty());
  EXPECT_TRUE(made->ready(0, 0).empty()) << "once";
  EXPECT_TRUE(made->ready(1, 0).empty()) << "it is nobody yet";
  const Actions start = made->joined(1, 1);
  ASSERT_NE(send_in(start), nullptr);
  EXPECT_THAT(send_in(start)->clients, ElementsAre(0));
}

TEST_F(OnRequest, ALostAnswerIsGivenAgain) {
  const auto made = coordinator();
  join_all(*made);
  made->ready(0, 1);
  made->ready(1, 1);
  made->arrived(update_of(1, 1, {7}), 2);
  made->committed(std::nullopt, 2);
  EXPECT_TRUE(made->joined(0, 3).empty()) << "it asks by itself";
  const Actions again = made->ready(0, 3);
  ASSERT_NE(send_in(again), nullptr);
  EXPECT_TRUE(send_in(again)->again);
  EXPECT_THAT(values_of(*send_in(again)), ElementsAre(1)) << "the same model";
  made->left(0, "gone", 4);
  made->joined(0, 5);
  EXPECT_THAT(values_of(*send_in(made->ready(0, 5))), ElementsAre(8));
}

TEST_F(OnRequest, AResumedRunIsAskedAnew) {
  const auto made = coordinator();
  join_all(*made);
  made->ready(0, 1);
  made->ready(1, 1);
  made->arrived(update_of(1, 1, {7}), 2);
  CheckpointWriter writer;
  made->save(writer);
  const ByteBuffer bytes = writer.encode();
  const auto resumed = coordinator();
  resumed->restore(CheckpointReader(bytes, "memory"));
  EXPECT_TRUE(join_all(*resumed).empty());
  const Actions first = resumed->ready(0, 3);
  ASSERT_NE(send_in(first), nullptr);
  EXPECT_EQ(send_in(first)->round, 1);
  EXPECT_THAT(values_of(*send_in(first)), ElementsAre(8));
  EXPECT_EQ(send_in(resumed->ready(1, 3))->round, 2);
}

}  // namespace
}  // namespace gossamer
