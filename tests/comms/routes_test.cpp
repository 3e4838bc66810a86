// Every topology's routes fit together, reach everybody and cannot block, for 1 to 16 ranks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "comms/collectives/in_process_link.h"
#include "core/error.h"
#include "tests/comms/all_reduce_conformance.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

constexpr int kMostRanks = 16;

std::vector<std::string> all_reduce_topologies() {
  std::vector<std::string> names;
  for (const std::string& name : topologies().names()) {
    if (!make_topology(name)->all_reduce_routes(0, 2).empty()) names.push_back(name);
  }
  return names;
}

class EveryTopology : public testing::TestWithParam<std::string> {
 protected:
  const std::unique_ptr<Topology> topology_ = make_topology(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Routes, EveryTopology, testing::ValuesIn(all_reduce_topologies()),
                         [](const auto& tested) { return tested.param; });

// Rank r has 2^r everywhere: each of the sums of 16 powers is exact, and says who is in it how often.
TEST_P(EveryTopology, AddsEveryRankOnceToEveryElement) {
  for (int world_size = 1; world_size <= kMostRanks; ++world_size) {
    for (const std::size_t count : {0, 1, 15, 16, 17, 1023, 1024, 1025, 4099}) {
      std::vector<std::vector<float>> vectors;
      for (int rank = 0; rank < world_size; ++rank) {
        vectors.emplace_back(count, static_cast<float>(1U << static_cast<unsigned>(rank)));
      }
      all_reduce_in_process(*topology_, std::vector<std::span<float>>(vectors.begin(), vectors.end()));
      const auto sum = static_cast<float>((1U << static_cast<unsigned>(world_size)) - 1);
      for (const auto& vector : vectors) {
        ASSERT_THAT(vector, testing::Each(sum)) << world_size << " ranks, " << count << " elements";
      }
    }
  }
}

// One thread gives each rank its turn, over queues of a single short segment. As long as the routes cannot
// block, each round moves a segment at least.
TEST_P(EveryTopology, CannotBlockOverTheNarrowestLink) {
  constexpr std::size_t kCount = 5000;
  const LinkSettings narrow{64, 1};
  for (int world_size = 1; world_size <= kMostRanks; ++world_size) {
    auto links = make_in_process_links(*topology_, world_size, narrow);
    std::vector<std::unique_ptr<AllReduce>> ranks;
    std::vector<FloatBuffer> vectors;
    for (int rank = 0; rank < world_size; ++rank) {
      ranks.push_back(make_all_reduce(*topology_, std::move(links[static_cast<std::size_t>(rank)])));
      vectors.push_back(vector_of(rank, kCount, 0));
    }
    for (std::size_t rank = 0; rank < ranks.size(); ++rank) ranks[rank]->start(vectors[rank]);
    const std::size_t ranks_squared = ranks.size() * ranks.size();
    const std::size_t most_segments = 2 * ranks_squared * (kCount * sizeof(float) / narrow.segment_bytes + 1);
    std::size_t complete = 0;
    for (std::size_t round = 0; complete < ranks.size() && round < most_segments; ++round) {
      complete = 0;
      for (auto& rank : ranks) {
        const auto progress = rank->progress();
        ASSERT_TRUE(progress.ok()) << progress.fault().reason;
        complete += progress.value();
      }
    }
    ASSERT_EQ(complete, ranks.size()) << world_size << " ranks are stuck";
    for (const FloatBuffer& vector : vectors) expect_bits_of(*topology_, vector, world_size, 0);
  }
}

TEST_P(EveryTopology, SaysTheSameToAllRanks) {
  for (int world_size = 1; world_size <= kMostRanks; ++world_size) {
    const auto first = topology_->all_reduce_routes(0, world_size);
    EXPECT_EQ(first.back().max_count, std::numeric_limits<std::size_t>::max());
    for (Rank rank = 1; rank < world_size; ++rank) {
      const auto other = topology_->all_reduce_routes(rank, world_size);
      ASSERT_EQ(other.size(), first.size());
      for (std::size_t i = 0; i < first.size(); ++i) {
        EXPECT_EQ(other[i].max_count, first[i].max_count);
        EXPECT_EQ(other[i].chunks, first[i].chunks);
        EXPECT_EQ(other[i].sends_stay, first[i].sends_stay);
        EXPECT_EQ(other[i].stages.size(), first[i].stages.size());
      }
    }
  }
}

TEST(Routes, AllToAllSumsInRankOrder) {
  const auto topology = make_topology("all_to_all");
  for (int world_size = 2; world_size <= 6; ++world_size) {
    std::vector<FloatBuffer> vectors;
    FloatBuffer expected(1000);
    for (Rank rank = 0; rank < world_size; ++rank) {
      vectors.push_back(vector_of(rank, expected.size(), 0));
      for (std::size_t i = 0; i < expected.size(); ++i) {
        expected[i] = rank == 0 ? vectors[0][i] : expected[i] + vectors.back()[i];
      }
    }
    all_reduce_in_process(*topology, std::vector<std::span<float>>(vectors.begin(), vectors.end()));
    EXPECT_EQ(vectors[0], expected);
    EXPECT_EQ(vectors.back(), expected);
  }
}

TEST(Routes, ARingSendsTheVectorTwiceOverAtMost) {
  const auto topology = make_topology("ring");
  constexpr std::size_t kCount = 100'000;
  for (int world_size = 2; world_size <= kMostRanks; ++world_size) {
    const auto all = topology->all_reduce_routes(0, world_size);
    const Routes& routes = routes_for(all, kCount);
    std::size_t sent = 0;
    for (const Stage& stage : routes.stages) {
      for (const Send& send : stage.sends)
        sent += chunk_range(kCount, chunk_size(kCount, routes.chunks), send.chunk).size;
    }
    const double least = 2.0 * (world_size - 1) / world_size * kCount;
    EXPECT_NEAR(static_cast<double>(sent), least, 16.0 * 2 * world_size);
  }
}

std::unique_ptr<Topology> rings_of(int groups) {
  return make_topology("grouped_ring", {{"topology.grouped_ring.groups", std::to_string(groups)}});
}

// Of any number of groups that divides the ranks, among them one, and one for each rank.
TEST(Routes, RingsOfGroupsSumAndGatherAsARingDoes) {
  constexpr std::size_t kCount = 5003;
  for (int world_size = 1; world_size <= kMostRanks; ++world_size) {
    for (int groups = 1; groups <= world_size; ++groups) {
      if (world_size % groups != 0) continue;
      const auto topology = rings_of(groups), ring = make_topology("ring");
      std::vector<FloatBuffer> vectors;
      for (Rank rank = 0; rank < world_size; ++rank) vectors.push_back(vector_of(rank, kCount, 0));
      all_reduce_in_process(*topology, std::vector<std::span<float>>(vectors.begin(), vectors.end()));
      expect_sum(vectors[0], world_size, 0);
      for (const FloatBuffer& vector : vectors) ASSERT_EQ(vector, vectors[0]) << world_size << '/' << groups;
      ExchangeBytes sums, ring_sums;
      for (Rank rank = 0; rank < world_size; ++rank) {
        sums += all_reduce_bytes(*topology, rank, world_size, kCount);
        ring_sums += all_reduce_bytes(*ring, rank, world_size, kCount);
        EXPECT_EQ(gather_bytes(*topology, rank, world_size, kCount * 16, kCount).received,
                  gather_bytes(*ring, rank, world_size, kCount * 16, kCount).received);
      }
      EXPECT_EQ(sums.sent, ring_sums.sent) << world_size << '/' << groups;
    }
  }
}

TEST(Routes, RingsOfGroupsCrossBetweenThemInFewStages) {
  constexpr int kGroups = 3, kMembers = 4, kRanks = kGroups * kMembers;
  const auto topology = rings_of(kGroups);
  for (Rank self = 0; self < kRanks; ++self) {
    const auto crossing = [&](const Routes& routes) {
      return std::ranges::count_if(routes.stages, [&](const Stage& stage) {
        return stage.sends.size() == 1 && stage.sends[0].to / kMembers != self / kMembers;
      });
    };
    const Routes routes = topology->all_reduce_routes(self, kRanks).back();
    EXPECT_EQ(routes.stages.size(), 2U * (kRanks - 1));
    EXPECT_EQ(crossing(routes), 2 * (kGroups - 1));
    EXPECT_EQ(crossing(topology->gather_routes(self, kRanks)), kGroups - 1);
  }
}

// How many additions one after the other the sum of each chunk is.
std::vector<int> longest_ways(const Topology& topology, int world_size) {
  std::vector<Routes> routes;
  for (Rank rank = 0; rank < world_size; ++rank)
    routes.push_back(topology.all_reduce_routes(rank, world_size).back());
  using ByChunk = std::vector<int>;
  std::vector<ByChunk> ways(routes.size(), ByChunk(static_cast<std::size_t>(routes[0].chunks)));
  for (std::size_t stage = 0; stage < routes[0].stages.size(); ++stage) {
    const std::vector<ByChunk> before = ways;
    for (std::size_t rank = 0; rank < routes.size(); ++rank) {
      for (const Receive& receive : routes[rank].stages[stage].receives) {
        const auto chunk = static_cast<std::size_t>(receive.chunk);
        const int arrived = before[static_cast<std::size_t>(receive.from)][chunk];
        int& way = ways[rank][chunk];
        way = receive.combine == Combine::add ? std::max(way, arrived) + 1 : arrived;
      }
    }
  }
  for (const ByChunk& other : ways) EXPECT_EQ(other, ways[0]);
  return ways[0];
}

TEST(Routes, RingsOfGroupsAddInFewSteps) {
  EXPECT_THAT(longest_ways(*make_topology("ring"), 12), testing::Each(11));
  EXPECT_THAT(longest_ways(*rings_of(3), 12), testing::Each(4 + 3 - 2));
  EXPECT_THAT(longest_ways(*rings_of(4), 16), testing::Each(4 + 4 - 2));
  EXPECT_THAT(longest_ways(*rings_of(1), 5), testing::Each(4));
}

// Whose members would have no counterpart in every other group.
TEST(Routes, GroupsOfDifferentSizesAreRefused) {
  const auto topology = rings_of(3);
  EXPECT_THAT(message_of<ConfigError>([&] { topology->all_reduce_routes(0, 8); }),
              testing::HasSubstr("topology.grouped_ring.groups = 3: 8 peers"));
  EXPECT_THAT(message_of<ConfigError>([&] { topology->gather_routes(0, 8); }),
              testing::HasSubstr("expected a divisor of data.clients"));
  EXPECT_EQ(message_of<ConfigError>([&] { topology->all_reduce_routes(0, 9); }), "nothing");
}

TEST(Routes, ChunksCoverTheVectorInOrder) {
  for (const std::size_t count : {0UL, 1UL, 15UL, 16UL, 33UL, 1000UL}) {
    for (int chunks = 1; chunks <= 7; ++chunks) {
      std::size_t at = 0;
      for (int chunk = 0; chunk < chunks; ++chunk) {
        const ChunkRange range = chunk_range(count, chunk_size(count, chunks), chunk);
        EXPECT_EQ(range.begin, at);
        EXPECT_TRUE(range.begin % 16 == 0 || range.size == 0);
        at += range.size;
      }
      EXPECT_EQ(at, count);
    }
  }
}

TEST(Routes, AGatherSendsNobodyWhatItHas) {
  constexpr std::size_t kCount = 1009, kShare = 103;  // ten ranks, the last with less
  for (const char* name : {"ring", "all_to_all", "mpi_allreduce"}) {
    const auto topology = make_topology(name);
    for (Rank rank = 0; rank < 10; ++rank) {
      const ExchangeBytes bytes = gather_bytes(*topology, rank, 10, kCount, kShare);
      const std::size_t own = rank == 9 ? kCount - 9 * kShare : kShare;
      EXPECT_EQ(bytes.received, (kCount - own) * sizeof(float)) << name << rank;
      if (std::string(name) != "ring") {
        EXPECT_EQ(bytes.sent, 9 * own * sizeof(float)) << name << rank;
      }
    }
    EXPECT_EQ(gather_bytes(*topology, 0, 1, kCount, kCount).sent, 0U);
  }
}

// Routes that do not fit together are a fault of the topology, and found.
class Lopsided final : public Topology {
 public:
  std::vector<Routes> all_reduce_routes(Rank self, int) const override {
    Routes routes;
    routes.stages.emplace_back();
    if (self == 0) routes.stages[0].sends.push_back({1, 0});
    return {routes};
  }
};

TEST(Routes, ASendThatNobodyReceivesIsRefused) {
  std::vector<float> a(3), b(3);
  const std::vector<std::span<float>> vectors{a, b};
  EXPECT_THROW(all_reduce_in_process(Lopsided{}, vectors), std::logic_error);
  EXPECT_THROW(all_reduce_in_process(Topology{}, vectors), std::logic_error);
  const std::vector<std::span<float>> uneven{a, std::span(b).first(2)};
  EXPECT_THROW(all_reduce_in_process(*make_topology("ring"), uneven), std::logic_error);
}

}  // namespace
}  // namespace gossamer
