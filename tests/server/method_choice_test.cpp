// Which method of compression rounds travel by: the choice itself, and in a run.
#include "server/method_choice.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "compression/choice.h"
#include "core/rng.h"
#include "tests/server/coordinator_support.h"

namespace gossamer {
namespace {

struct Candidate {
  double seconds;
  double delivered;  // negative: no update of its rounds counts
};

// Tries what there is until it settles.
MethodChoice settled(const std::vector<Candidate>& candidates, double drag = 0.1, std::int64_t rounds = 3) {
  MethodChoice choice({candidates.size(), rounds, drag});
  for (int round = 0; !choice.settled(); ++round) {
    EXPECT_LT(round, 1000);
    const Candidate& now = candidates[choice.method()];
    choice.observe(now.delivered < 0 ? std::nullopt : std::optional(now.delivered), now.seconds);
  }
  return choice;
}

TEST(MethodChoice, ASlowLinkPrefersShortMessagesAndAFastOneWholeOnes) {
  // Seconds of a round: computing, and bytes over the rate. Shares as of floats, int8, one_bit and top_k.
  const auto on = [](double rate) {
    return settled(
               {{1 + 400 / rate, 1}, {1 + 100 / rate, 0.999}, {1 + 12.5 / rate, 0.6}, {1 + 6 / rate, 0.1}})
        .method();
  };
  EXPECT_EQ(on(1e7), 0U);
  EXPECT_EQ(on(2000), 1U);  // 1.05 against 1.00625 x 1.067
  EXPECT_EQ(on(1000), 2U);  // 1.1 against 1.0125 x 1.067
  EXPECT_EQ(on(10), 2U);
  EXPECT_EQ(on(0.1), 3U);  // 126 x 1.067 against 61 x 1.9
}

TEST(MethodChoice, CostsAreSecondsTimesSlowdown) {
  const MethodChoice choice = settled({{9, 1}, {5, 0.5}, {4, 0.2}});
  EXPECT_EQ(choice.method(), 1U);
  EXPECT_DOUBLE_EQ(choice.estimate(1).cost(), 5 * 1.1);
  EXPECT_DOUBLE_EQ(choice.estimate(2).cost(), 4 * 1.4);
  EXPECT_TRUE(choice.estimate(0).tried);
  EXPECT_EQ(settled({{9, 1}, {5, 0.5}, {4, 0.2}}, 0).method(), 2U) << "nothing is lost by leaving out";
}

TEST(MethodChoice, WhatCannotWinIsNotTried) {
  const MethodChoice choice = settled({{100, 1}, {50, 1}, {10, 0.9}, {1, 0.5}});
  EXPECT_EQ(choice.method(), 3U);
  EXPECT_TRUE(choice.estimate(2).tried);
  EXPECT_FALSE(choice.estimate(1).tried);
  EXPECT_FALSE(choice.estimate(0).tried);
}

TEST(MethodChoice, OfTwoThatCostTheSameTheOneThatLeavesOutLess) {
  EXPECT_EQ(settled({{2, 1}, {2, 1}, {2, 1}}).method(), 0U);
}

TEST(MethodChoice, AMethodWithoutAnUpdateIsNotChosen) {
  EXPECT_EQ(settled({{9, 1}, {5, 0.5}, {1, -1}}).method(), 1U);
  EXPECT_EQ(settled({{9, -1}, {5, 0.5}, {1, -1}}).method(), 1U);
  EXPECT_EQ(settled({{9, -1}, {5, -1}, {1, -1}}).method(), 0U);
}

TEST(MethodChoice, TheFirstRoundAndAnOutlierDoNotCount) {
  MethodChoice choice({2, 3, 0.1});
  choice.observe(0.5, 100);
  EXPECT_EQ(choice.method(), 1U);
  for (const double seconds : {1.0, 50.0, 1.0}) choice.observe(0.5, seconds);
  EXPECT_EQ(choice.method(), 0U);
  EXPECT_EQ(choice.estimate(1).seconds, 1);
}

// Rounds as long as training on a machine with other work to do: a third longer or shorter, and methods a
// tenth apart.
TEST(MethodChoice, TriesAgainWhatIsClose) {
  MethodChoice choice({4, 3, 0.1});
  choice.observe(0.9, 9);
  const std::vector<std::vector<double>> first{{4, 4, 4}, {1.0, 1.1, 1.2}, {1.3, 1.25, 1.2}, {5, 5, 5}};
  for (std::size_t method : {3U, 2U, 1U, 0U}) {
    ASSERT_EQ(choice.method(), method);
    for (const double seconds : first[method]) choice.observe(1, seconds);
  }
  ASSERT_FALSE(choice.settled()) << "two are close";
  for (std::size_t method : {2U, 1U}) {
    ASSERT_EQ(choice.method(), method);
    for (int i = 0; i < 3; ++i) choice.observe(1, method == 2 ? 1.0 : 1.1);
  }
  EXPECT_DOUBLE_EQ(choice.estimate(2).seconds, 1.2) << "of six";
  for (std::size_t method : {2U, 1U}) {
    ASSERT_FALSE(choice.settled());
    ASSERT_EQ(choice.method(), method);
    for (int i = 0; i < 3; ++i) choice.observe(1, method == 2 ? 1.0 : 1.1);
  }
  EXPECT_EQ(choice.method(), 2U);
  EXPECT_DOUBLE_EQ(choice.estimate(2).seconds, 1.0) << "of nine";
  for (int i = 0; i < 6; ++i) {
    ASSERT_FALSE(choice.settled()) << "it may leave more as time goes on";
    ASSERT_EQ(choice.method(), 2U);
    choice.observe(1, 7);
  }
  EXPECT_TRUE(choice.settled());
  EXPECT_DOUBLE_EQ(choice.estimate(2).seconds, 1.0) << "rounds of a trial count";
}

// What sparse messages leave over grows as long as they are sent, and others send it: what a method costs is
// known only when it has been used for a while.
struct Growing {
  double seconds;
  double least;   // delivered when a method has been used for long
  double rounds;  // that take it there
};
MethodChoice settled_while_growing(const std::vector<Growing>& methods, std::vector<std::size_t>* used) {
  MethodChoice choice({methods.size(), 3, 0.1});
  double left = 0;  // over the update's length
  for (int round = 0; !choice.settled(); ++round) {
    EXPECT_LT(round, 1000);
    const Growing& now = methods[choice.method()];
    const double most = 1 / now.least - 1;
    left += (most - left) / now.rounds;
    used->push_back(choice.method());
    choice.observe(1 / (1 + left), now.seconds);
  }
  return choice;
}

TEST(MethodChoice, WhatLeavesMoreAndMoreIsLeft) {
  std::vector<std::size_t> used;
  // In a trial the last looks like 0.7 x 1.3, and comes to 0.7 x 2.
  const MethodChoice choice =
      settled_while_growing({{9, 1, 1}, {5, 1, 1}, {1, 0.5, 1}, {0.7, 1 / 11.0, 10}}, &used);
  EXPECT_EQ(choice.method(), 2U);
  EXPECT_GT(choice.estimate(3).cost(), choice.estimate(2).cost());
  EXPECT_EQ(std::ranges::count(used, 0U), 0) << "those before it send less, and are too slow";
  used.clear();
  const MethodChoice stays =
      settled_while_growing({{9, 1, 1}, {5, 1, 1}, {1, 0.5, 1}, {0.5, 1 / 11.0, 10}}, &used);
  EXPECT_EQ(stays.method(), 3U);
  EXPECT_NEAR(stays.estimate(3).slowdown, 2, 0.1) << "watched until it grows no more";
}

TEST(MethodChoice, WhatSeemedHopelessIsTriedWhenTheBestHasBecomeDear) {
  std::vector<std::size_t> used;
  // 1.6 seconds are longer than what half a second has cost by then, and end the first lap.
  const MethodChoice choice = settled_while_growing(
      {{9, 1, 1}, {5, 1, 1}, {1.7, 0.9, 1}, {1.6, 0.2, 1}, {0.5, 1 / 101.0, 20}}, &used);
  EXPECT_EQ(choice.method(), 2U);
  EXPECT_GT(choice.estimate(4).cost(), 1.7);
  EXPECT_EQ(std::ranges::count(used, 0U), 0);
  EXPECT_GT(std::ranges::find(used, 2U) - used.begin(), 9) << "in the first lap";
}

TEST(MethodChoice, MoreRoundsFindTheBestMoreOften) {
  const std::vector<Candidate> truth{{4, 1}, {1.15, 1}, {1, 1}};
  const auto rightly = [&](bool first_lap_only) {
    Rng rng(8, Purpose::test);
    int right = 0;
    for (int run = 0; run < 500; ++run) {
      MethodChoice choice({truth.size(), 5, 0.05});
      for (int round = 0; !choice.settled() && !(first_lap_only && round == 16); ++round)
        choice.observe(1, truth[choice.method()].seconds * std::exp(0.3 * rng.normal()));
      right += (choice.estimate(2).cost() < choice.estimate(1).cost()) ? 1 : 0;
    }
    return right / 500.0;
  };
  EXPECT_GT(rightly(false), rightly(true) + 0.04);
  EXPECT_GT(rightly(false), 0.75);
}

TEST(MethodChoice, ACheckpointHoldsWhatWasMeasured) {
  Rng rng(3, Purpose::test);
  for (int rounds = 0; rounds < 30; ++rounds) {
    MethodChoice choice({4, 3, 0.1}), resumed({4, 3, 0.1});
    for (int i = 0; i < rounds; ++i) choice.observe(0.5 + 0.5 * rng.uniform(), 1 + rng.uniform());
    CheckpointWriter writer;
    choice.save(writer);
    const ByteBuffer bytes = writer.encode();
    resumed.restore(CheckpointReader(bytes, "memory"));
    for (int i = 0; i < 30; ++i) {
      EXPECT_EQ(resumed.method(), choice.method());
      EXPECT_EQ(resumed.settled(), choice.settled());
      const double delivered = 0.5 + 0.5 * rng.uniform(), seconds = 1 + rng.uniform();
      choice.observe(delivered, seconds);
      resumed.observe(delivered, seconds);
    }
    EXPECT_EQ(resumed.describe({"a", "b", "c", "d"}), choice.describe({"a", "b", "c", "d"}));
  }
}

// In a run: the method is said with the model, and an update by another one does not count.
TEST(MethodChoice, UpdatesTravelAsTheirRoundAsksFor) {
  const Options options = server_options(
      {{"data.clients", "2"}, {"cohort.fraction", "1"}, {"compression.up", "auto"}, {"run.rounds", "150"}});
  auto made = make_coordinator(options, model_of(std::vector<float>(300, 0.0F)));
  Coordinator& coordinator = *made;
  const auto compressor = up_compressors().make(options, *coordinator.model()->layout);
  const auto update_by = [&](std::size_t method, ClientId client, Round round) {
    FloatBuffer state(compressor->state_floats(), 0.0F);
    Rng rng(1, Purpose::compression);
    CompressedUpdate update = update_of(client, round, {});
    update.content =
        compressor->compress(SharedFloats::of(FloatBuffer(300, 1.0F)), state, {round, 0, method}, rng);
    return update;
  };
  Actions actions = join_all(coordinator);
  const auto sent = [&] { return std::get<SendModel>(actions.at(0)); };
  std::string said;
  Seconds now = 0;
  for (Round round = 1; round <= 140; ++round) {
    const std::size_t method = sent().terms.method;
    ASSERT_LT(method, chosen_methods().size());
    // A second a round for whole models, and less for others.
    now += 1 + (method == 0 ? 1.0 : 0.0);
    coordinator.arrived(update_by(method, 0, round), now);
    const std::size_t other = round == 2 ? (method + 1) % chosen_methods().size() : method;
    actions = coordinator.arrived(update_by(other, 1, round), now);
    const Commit* commit = commit_in(actions);
    ASSERT_NE(commit, nullptr);
    EXPECT_EQ(commit->metrics.compression, chosen_methods()[method]);
    EXPECT_EQ(commit->metrics.rejected, round == 2 ? 1 : 0);
    EXPECT_EQ(commit->metrics.clients, round == 2 ? 1 : 2);
    said += commit->note;
    actions = coordinator.committed(std::nullopt, now);
  }
  EXPECT_EQ(chosen_methods()[sent().terms.method], "fp16") << "the least of the loss at no more time";
  EXPECT_EQ(said.find("compression.up = auto: fp16 ("), 0U) << said;
  EXPECT_EQ(said.find("compression.up = auto", 1), std::string::npos) << "said once";
}

}  // namespace
}  // namespace gossamer
