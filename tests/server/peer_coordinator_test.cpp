// How far peers may go, when a round of theirs is over, and what losing one means.
#include "server/peer_coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/server/server_schema.h"

namespace gossamer {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Keys = std::map<std::string, std::string>;

constexpr std::size_t kFloats = 3;

std::shared_ptr<const Parameters> initial() {
  auto model = std::make_shared<Parameters>();
  model->layout = std::make_shared<const ParameterLayout>(std::vector<TensorSpec>{
      {"w", {static_cast<std::int64_t>(kFloats)}, 0, kFloats, TensorRole::parameter}});
  model->values.assign(kFloats, 0.0F);
  return model;
}

class Peers : public testing::Test {
 protected:
  void begin(const Keys& keys) {
    Options options = server_options({});
    options.set("topology.name", "gossip");
    options.set("data.clients", "3");
    options.set("run.rounds", "5");
    options.set("server.checkpoint_every", "0");
    for (const auto& [key, value] : keys) options.set(key, value);
    coordinator_.emplace(options, initial());
    for (ClientId client = 0; client < 3; ++client) take(coordinator_->joined(client, 0));
  }
  PeerCoordinator& coordinator() { return *coordinator_; }

  void take(const PeerActions& first) {
    PeerActions actions = first;
    while (!actions.empty()) {
      PeerActions next;
      for (const PeerAction& action : actions) {
        if (const auto* grant = std::get_if<Grant>(&action)) {
          granted_ = grant->round;
          if (!grant->show.empty()) shown_[grant->round] = grant->show;
        }
        if (const auto* show = std::get_if<Show>(&action)) shown_[show->round] = show->clients;
        if (const auto* commit = std::get_if<Commit>(&action)) {
          commits_.push_back(*commit);
          next = coordinator_->committed(accuracy_, 0);
        }
        if (const auto* finish = std::get_if<Finish>(&action)) finish_ = *finish;
      }
      actions = std::move(next);
    }
  }
  void report(ClientId client, Round round, double loss = 1) {
    PeerReport report;
    report.info.client = client;
    report.info.round = round;
    report.info.samples = 10;
    report.info.train_loss = loss;
    report.bytes_sent = 100;
    report.bytes_received = 50;
    take(coordinator_->reported(report, 7));
  }
  void show(ClientId client, Round round, float value) {
    take(coordinator_->shown(encode_state(1, client, round, SharedFloats::of(FloatBuffer(kFloats, value))),
                             7));
  }

  std::optional<PeerCoordinator> coordinator_;
  Round granted_ = 0;
  std::map<Round, std::vector<ClientId>> shown_;
  std::vector<Commit> commits_;
  std::optional<double> accuracy_;
  std::optional<Finish> finish_;
};

TEST_F(Peers, GoTwoRoundsAheadAtMostAndShowTheirModels) {
  begin({});
  EXPECT_EQ(granted_, 2);
  EXPECT_THAT(shown_[2], ElementsAre(0, 1, 2));
  for (const Round round : {1, 2}) {
    report(0, round);
    show(0, round, 1);
  }
  report(0, 3);  // was not granted: does not count
  report(1, 1, 2);
  show(1, 1, 2);
  report(2, 1, 3);
  EXPECT_TRUE(commits_.empty());
  EXPECT_EQ(granted_, 2);
  show(2, 1, 6);
  ASSERT_EQ(commits_.size(), 1U);
  EXPECT_EQ(granted_, 3);
  const RoundMetrics& metrics = commits_[0].metrics;
  EXPECT_EQ(metrics.round, 1);
  EXPECT_EQ(metrics.clients, 3);
  EXPECT_EQ(metrics.samples, 30);
  EXPECT_EQ(metrics.train_loss, 2);
  EXPECT_EQ(metrics.bytes_up, 300U);
  EXPECT_EQ(metrics.bytes_down, 150U);
  EXPECT_EQ(metrics.rejected, 1);
  EXPECT_EQ(coordinator().model()->values, FloatBuffer(kFloats, 3.0F));  // the mean of 1, 2, 6
  // Squares of -2, -1, 3, in three elements each.
  EXPECT_NEAR(*metrics.consensus_distance, std::sqrt(3 * 14 / 3.0), 1e-6);
}

TEST_F(Peers, AreAskedForModelsOnlyWhereOneIsNeeded) {
  begin({{"run.eval_every", "2"}, {"server.checkpoint_every", "3"}});
  for (Round round = 1; round <= 5; ++round) {
    for (ClientId client = 0; client < 3; ++client) {
      report(client, round);
      if (shown_.contains(round)) show(client, round, static_cast<float>(round));
    }
  }
  EXPECT_EQ(commits_.size(), 5U);
  std::vector<Round> asked;
  for (const auto& [round, clients] : shown_) asked.push_back(round);
  EXPECT_THAT(asked, ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(commits_[0].metrics.consensus_distance, std::nullopt);
  ASSERT_TRUE(finish_);
  EXPECT_TRUE(finish_->success);
  EXPECT_EQ(finish_->reason, "rounds");
  EXPECT_EQ(coordinator().model()->values[0], 5);
}

TEST_F(Peers, OfASumShowOneModel) {
  begin({{"topology.name", "ring"}});
  EXPECT_THAT(shown_[1], ElementsAre(0));
  for (ClientId client = 0; client < 3; ++client) report(client, 1);
  EXPECT_TRUE(commits_.empty());
  show(0, 1, 4);
  ASSERT_EQ(commits_.size(), 1U);
  EXPECT_EQ(coordinator().model()->values[0], 4);
  EXPECT_EQ(commits_[0].metrics.consensus_distance, std::nullopt);
}

TEST_F(Peers, OfASumCannotBeLost) {
  begin({{"topology.name", "ring"}});
  take(coordinator().left(2, "its reason", 1));
  ASSERT_TRUE(finish_);
  EXPECT_FALSE(finish_->success);
  EXPECT_THAT(finish_->reason, HasSubstr("client 2 is lost (its reason)"));
}

TEST_F(Peers, OfGossipGoOnWithoutOne) {
  begin({{"cohort.min_size", "2"}});
  for (const ClientId client : {0, 2}) {
    report(client, 1);
    show(client, 1, static_cast<float>(client));
  }
  take(coordinator().left(1, "gone", 1));
  ASSERT_EQ(commits_.size(), 1U);
  EXPECT_EQ(commits_[0].metrics.clients, 2);
  EXPECT_EQ(commits_[0].metrics.dropped, 1);
  EXPECT_EQ(coordinator().model()->values[0], 1);
  take(coordinator().left(0, "gone too", 1));
  ASSERT_TRUE(finish_);
  EXPECT_FALSE(finish_->success);
  EXPECT_THAT(finish_->reason, HasSubstr("client 0 (gone too)"));
}

TEST_F(Peers, WithAMalformedModelLeave) {
  begin({});
  take(coordinator().shown(encode_state(1, 1, 1, SharedFloats::of(FloatBuffer(kFloats + 1, 0.0F))), 1));
  EXPECT_FALSE(coordinator().is_present(1));
}

TEST_F(Peers, StopAtARoundThatAllCanComplete) {
  begin({{"run.eval_every", "5"}});
  EXPECT_FALSE(shown_.contains(2));
  take(coordinator().stop(1));
  EXPECT_THAT(shown_[2], ElementsAre(0, 1, 2));
  for (Round round = 1; round <= 2; ++round) {
    EXPECT_FALSE(finish_);
    for (ClientId client = 0; client < 3; ++client) {
      report(client, round);
      if (round == 2) show(client, round, 8);
    }
  }
  ASSERT_TRUE(finish_);
  EXPECT_TRUE(finish_->success);
  EXPECT_EQ(finish_->reason, "signal");
  EXPECT_EQ(granted_, 2);
  EXPECT_EQ(coordinator().model()->values[0], 8);
  EXPECT_TRUE(coordinator().can_save());
}

TEST_F(Peers, WithoutCommonRoundsEndOneWithAsManyReportsAsThereArePeers) {
  begin({{"sync.mode", "async"}, {"run.eval_every", "2"}});
  for (Round round = 1; round <= 3; ++round) report(1, round);
  ASSERT_EQ(commits_.size(), 1U);
  EXPECT_TRUE(shown_.empty());
  for (Round round = 4; round <= 7; ++round) report(1, round);
  EXPECT_EQ(commits_.size(), 1U);  // the second waits for models; the reports since count for the third
  EXPECT_THAT(shown_[2], ElementsAre(0, 1, 2));
  for (ClientId client = 0; client < 3; ++client) show(client, 9, static_cast<float>(client));
  ASSERT_EQ(commits_.size(), 2U);
  EXPECT_EQ(commits_[1].metrics.clients, 3);
  EXPECT_EQ(coordinator().model()->values[0], 1);
  report(0, 1);
  EXPECT_EQ(commits_.size(), 2U);
  report(0, 2);
  EXPECT_EQ(commits_.size(), 3U);
}

TEST_F(Peers, ReachATarget) {
  begin({{"run.target_accuracy", "0.5"}});
  accuracy_ = 0.6;
  for (ClientId client = 0; client < 3; ++client) {
    report(client, 1);
    show(client, 1, 1);
  }
  ASSERT_TRUE(finish_);
  EXPECT_EQ(finish_->reason, "target_accuracy");
  EXPECT_EQ(commits_.size(), 1U);
}

TEST_F(Peers, GoOnFromACheckpointWithTheirOwnModels) {
  begin({});
  for (ClientId client = 0; client < 3; ++client) {
    report(client, 1);
    show(client, 1, static_cast<float>(client));
  }
  CheckpointWriter writer;
  coordinator().save(writer);
  const ByteBuffer bytes = writer.encode();
  commits_.clear();
  coordinator_.reset();
  begin({});
  coordinator().restore(CheckpointReader(bytes, "memory"));
  EXPECT_EQ(coordinator().version(), 1);
  EXPECT_EQ(coordinator().model()->values[0], 1);
  for (ClientId client = 0; client < 3; ++client)
    EXPECT_EQ(coordinator().start_of(client).values[0], static_cast<float>(client));
}

}  // namespace
}  // namespace gossamer
