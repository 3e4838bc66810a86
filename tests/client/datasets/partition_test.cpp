#include "client/datasets/partition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;
using testing_data::data_options;
using testing_data::refusal;

constexpr std::int64_t kExamples = 6000;

std::vector<std::int32_t> random_labels(std::int64_t count) {
  Rng rng(1, Purpose::test);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) labels.push_back(static_cast<std::int32_t>(rng.below(10)));
  return labels;
}

const std::vector<std::int32_t> kLabels = random_labels(kExamples);

PartitionTask task_for(std::int64_t clients, std::uint64_t seed = 1) {
  PartitionTask task;
  task.dataset = "sample";
  task.examples = kExamples;
  task.classes = 10;
  task.labels = kLabels;
  task.clients = clients;
  task.seed = seed;
  return task;
}

std::unique_ptr<Partition> make_partition(const std::string& name, const std::string& alpha = "0.5") {
  return partitions().make(data_options({{"data.partition", name}, {"data.alpha", alpha}}));
}

std::set<std::int32_t> labels_of(const Division& division, ClientId client) {
  std::set<std::int32_t> labels;
  for (std::uint32_t example : division.of(client)) labels.insert(kLabels[example]);
  return labels;
}

class EveryPartition : public ::testing::TestWithParam<std::string> {
 protected:
  // `natural` divides by owner, the others by label.
  PartitionTask task(std::int64_t clients, std::uint64_t seed = 1) {
    PartitionTask task = task_for(clients, seed);
    owners_.clear();
    for (std::int64_t i = 0; i < kExamples; ++i) owners_.push_back(static_cast<std::int32_t>(i % clients));
    task.owners = owners_;
    return task;
  }

 private:
  std::vector<std::int32_t> owners_;
};

TEST_P(EveryPartition, UsesEveryExampleOnceAndLeavesNobodyEmpty) {
  for (const std::int64_t clients : {1, 7, 100, 3000}) {
    const Division division = make_partition(GetParam(), "0.05")->divide(task(clients));
    ASSERT_EQ(division.clients(), clients);
    std::vector<int> uses(kExamples);
    for (ClientId k = 0; k < clients; ++k) {
      EXPECT_FALSE(division.of(k).empty()) << k;
      for (std::uint32_t example : division.of(k)) ++uses.at(example);
    }
    EXPECT_TRUE(std::ranges::all_of(uses, [](int n) { return n == 1; })) << clients;
  }
}

TEST_P(EveryPartition, DependsOnTheSeedOnly) {
  const auto lists = [&](std::uint64_t seed) {
    const Division division = make_partition(GetParam())->divide(task(50, seed));
    std::vector<std::vector<std::uint32_t>> all;
    for (ClientId k = 0; k < 50; ++k) all.emplace_back(division.of(k).begin(), division.of(k).end());
    return all;
  };
  EXPECT_EQ(lists(1), lists(1));
  if (GetParam() != "natural") {
    EXPECT_NE(lists(1), lists(2));
  }
}

TEST_P(EveryPartition, DrawsSizesAndLabelsInRange) {
  const auto partition = make_partition(GetParam());
  for (ClientId k = 0; k < 200; ++k) {
    const std::int64_t size = partition->draw_size(1, k, 30);
    ASSERT_GE(size, 1);
    const auto labels = partition->draw_labels(1, k, size, 10);
    ASSERT_EQ(static_cast<std::int64_t>(labels.size()), size);
    EXPECT_LT(std::ranges::max(labels), 10);
    EXPECT_EQ(labels, partition->draw_labels(1, k, size, 10));
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryPartition, ::testing::ValuesIn(partitions().names()),
                         [](const auto& param) { return param.param; });

TEST(Partition, IidSizesDifferByAtMostOne) {
  const Division division = make_partition("iid")->divide(task_for(700));
  for (ClientId k = 0; k < 700; ++k) EXPECT_THAT(division.of(k).size(), ::testing::AnyOf(8U, 9U));
}

TEST(Partition, IidClientsSeeAllLabels) {
  const Division division = make_partition("iid")->divide(task_for(20));
  for (ClientId k = 0; k < 20; ++k) EXPECT_EQ(labels_of(division, k).size(), 10U);
}

// Two shards of 30 of the sorted examples: each spans at most two labels.
TEST(Partition, ShardsGiveFewLabels) {
  const Division division = make_partition("shards")->divide(task_for(100));
  std::size_t sum = 0;
  for (ClientId k = 0; k < 100; ++k) {
    EXPECT_EQ(division.of(k).size(), 60U);
    EXPECT_LE(labels_of(division, k).size(), 4U);
    sum += labels_of(division, k).size();
  }
  EXPECT_LT(sum, 230U);
}

TEST(Partition, DirichletSkewGrowsAsAlphaFalls) {
  const auto labels_seen = [](const std::string& alpha) {
    const Division division = make_partition("dirichlet", alpha)->divide(task_for(50));
    std::size_t sum = 0;
    for (ClientId k = 0; k < 50; ++k) sum += labels_of(division, k).size();
    return sum;
  };
  EXPECT_EQ(labels_seen("1000"), 500U);
  EXPECT_LT(labels_seen("0.1"), 300U);
}

TEST(Partition, QuantitySkewGrowsAsAlphaFalls) {
  const auto largest = [](const std::string& alpha) {
    const Division division = make_partition("quantity_skew", alpha)->divide(task_for(50));
    std::size_t most = 0;
    for (ClientId k = 0; k < 50; ++k) most = std::max(most, division.of(k).size());
    return most;
  };
  EXPECT_LT(largest("1000"), 150U);
  EXPECT_GT(largest("0.1"), 600U);
}

TEST(Partition, TheSmallestAlphaStillServesEveryone) {
  const Division division = make_partition("dirichlet", "0.001")->divide(task_for(kExamples));
  for (ClientId k = 0; k < kExamples; ++k) EXPECT_EQ(division.of(k).size(), 1U);
}

TEST(Partition, NaturalFollowsTheOwners) {
  std::vector<std::int32_t> owners(kExamples);
  for (std::size_t i = 0; i < owners.size(); ++i) owners[i] = i % 3 == 0 ? 1 : 0;
  PartitionTask task = task_for(2);
  task.owners = owners;
  const Division division = make_partition("natural")->divide(task);
  EXPECT_EQ(division.of(1).size(), 2000U);
  EXPECT_TRUE(std::ranges::all_of(division.of(1), [](std::uint32_t i) { return i % 3 == 0; }));
}

TEST(Partition, Refusals) {
  for (const std::string name : {"iid", "shards", "dirichlet", "quantity_skew"}) {
    EXPECT_THAT(refusal<ConfigError>([&] { make_partition(name)->divide(task_for(6001)); }),
                HasSubstr("data.clients = 6001: sample has 6000 training examples"));
  }
  EXPECT_THAT(refusal<ConfigError>([] { make_partition("natural")->divide(task_for(10)); }),
              HasSubstr("data.partition = natural: sample does not say who made its examples; use iid"));
  EXPECT_THAT(refusal<ConfigError>([] { make_partition("shards")->divide(task_for(3001)); }),
              HasSubstr("data.shards_per_client = 2"));
  PartitionTask unlabelled = task_for(10);
  unlabelled.labels = {};
  for (const std::string name : {"shards", "dirichlet"}) {
    EXPECT_THAT(refusal<ConfigError>([&] { make_partition(name)->divide(unlabelled); }),
                HasSubstr("data.partition = " + name + ": an example of sample has no single class"));
  }
}

TEST(Partition, ProportionalSizesAddUp) {
  EXPECT_EQ(proportional_sizes(10, std::vector<double>{1, 1, 1}), (std::vector<std::int64_t>{4, 3, 3}));
  EXPECT_EQ(proportional_sizes(7, std::vector<double>{0, 0.9, 0.1}), (std::vector<std::int64_t>{0, 6, 1}));
  EXPECT_EQ(proportional_sizes(0, std::vector<double>{2, 3}), (std::vector<std::int64_t>{0, 0}));
}

}  // namespace
}  // namespace gossamer
