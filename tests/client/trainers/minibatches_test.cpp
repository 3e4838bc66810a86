#include "client/trainers/minibatches.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <set>

#include "support.h"

namespace gossamer {
namespace {

using testing::MemorySet;

// Examples whose only feature, and whose label, is their index.
std::shared_ptr<const ExampleSet> indexed(std::int64_t count) {
  std::vector<float> features;
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    features.push_back(static_cast<float>(i));
    labels.push_back(i);
  }
  return std::make_shared<MemorySet>(ExampleShape{FeatureKind::reals, {1}, 1, count}, features, labels);
}

std::vector<std::int64_t> labels_of(const Minibatches::Part& part) {
  const auto* labels = part.labels.data_ptr<std::int64_t>();
  return {labels, labels + part.examples};
}

std::vector<std::int64_t> take(Minibatches& batches, int parts) {
  std::vector<std::int64_t> seen;
  for (int i = 0; i < parts; ++i) {
    for (std::int64_t label : labels_of(batches.next())) seen.push_back(label);
  }
  return seen;
}

Rng stream(std::uint64_t client) { return {1, Purpose::shuffle, client, 1}; }

TEST(Minibatches, EveryEpochVisitsEachExampleOnceAndEndsWithWhatIsLeft) {
  Minibatches batches;
  batches.start(indexed(23), 10, stream(0));
  EXPECT_EQ(batches.batches_per_epoch(), 3);
  std::vector<std::vector<std::int64_t>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<std::int64_t> seen;
    for (std::int64_t expected : {10, 10, 3}) {
      const Minibatches::Part& part = batches.next();
      EXPECT_EQ(part.examples, expected);
      EXPECT_EQ(part.batch_examples, expected);
      EXPECT_TRUE(part.first && part.last);
      EXPECT_EQ(part.features.size(0), expected);
      for (std::int64_t i = 0; i < expected; ++i) {
        EXPECT_EQ(part.features[i].item<float>(), static_cast<float>(part.labels[i].item<std::int64_t>()));
      }
      for (std::int64_t label : labels_of(part)) seen.push_back(label);
    }
    epochs.push_back(seen);
    std::ranges::sort(seen);
    for (std::int64_t i = 0; i < 23; ++i) EXPECT_EQ(seen[i], i);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
}

TEST(Minibatches, TheOrderDependsOnTheStreamAndNotOnEarlierClients) {
  const auto examples = indexed(100);
  Minibatches fresh;
  fresh.start(examples, 10, stream(7));
  const auto expected = take(fresh, 12);
  for (int earlier_parts : {0, 3, 10, 25}) {
    for (std::int64_t earlier_size : {100, 60}) {
      Minibatches used;
      used.start(indexed(earlier_size), 10, stream(2));
      take(used, earlier_parts);
      used.start(examples, 10, stream(7));
      EXPECT_EQ(take(used, 12), expected) << earlier_parts << " parts of " << earlier_size;
    }
  }
  Minibatches other;
  other.start(examples, 10, stream(8));
  EXPECT_NE(take(other, 12), expected);
}

TEST(Minibatches, AWholeSetOfManyExamplesComesInParts) {
  Minibatches batches;
  batches.start(indexed(2500), 0, stream(0));
  EXPECT_EQ(batches.batches_per_epoch(), 1);
  EXPECT_FALSE(batches.next_is_whole());
  for (int epoch = 0; epoch < 2; ++epoch) {
    std::set<std::int64_t> seen;
    for (std::int64_t expected : {1000, 1000, 500}) {
      const Minibatches::Part& part = batches.next();
      EXPECT_EQ(part.examples, expected);
      EXPECT_EQ(part.batch_examples, 2500);
      EXPECT_EQ(part.first, seen.empty());
      EXPECT_EQ(part.last, expected == 500);
      for (std::int64_t label : labels_of(part)) seen.insert(label);
    }
    EXPECT_EQ(seen.size(), 2500U);
  }
}

TEST(Minibatches, ABatchLargerThanTheSetIsTheSet) {
  Minibatches batches;
  batches.start(indexed(4), 10, stream(0));
  EXPECT_EQ(batches.next().examples, 4);
  EXPECT_EQ(batches.next().examples, 4);
}

TEST(Minibatches, ShufflingIsUniform) {
  // Where example 0 goes in an epoch of 5: each place equally often, within 5 sigma.
  Minibatches batches;
  const auto examples = indexed(5);
  std::vector<int> places(5);
  constexpr int kTrials = 20'000;
  for (int trial = 0; trial < kTrials; ++trial) {
    batches.start(examples, 1, stream(static_cast<std::uint64_t>(trial)));
    const auto order = take(batches, 5);
    ++places[std::ranges::find(order, 0) - order.begin()];
  }
  for (int count : places) EXPECT_NEAR(count, kTrials / 5.0, 5 * std::sqrt(kTrials * 0.2 * 0.8));
}

}  // namespace
}  // namespace gossamer
