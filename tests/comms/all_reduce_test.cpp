// All-reduce between the threads of one process.
#include "comms/collectives/all_reduce.h"

#include <functional>
#include <latch>
#include <limits>
#include <thread>

#include "comms/collectives/in_process_link.h"
#include "comms/collectives/paced_link.h"
#include "tests/comms/all_reduce_conformance.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

void run(const Topology& topology, int world_size, const LinkSettings& settings,
         const std::function<void(AllReduce&)>& body) {
  auto links = make_in_process_links(topology, world_size, settings);
  std::vector<std::jthread> threads;
  for (auto& link : links) {
    threads.emplace_back([&topology, &body, held = std::move(link)]() mutable {
      const auto all_reduce = make_all_reduce(topology, std::move(held));
      body(*all_reduce);
    });
  }
}

struct Case {
  std::string topology;
  int world_size;
};

class AllReduceOf : public testing::TestWithParam<Case> {
 protected:
  const std::unique_ptr<Topology> topology_ = make_topology(GetParam().topology);
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const std::string topology : {"ring", "grouped_ring", "all_to_all"}) {
    for (const int world_size : {1, 2, 3, 4, 5, 8}) all.push_back({topology, world_size});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(InProcess, AllReduceOf, testing::ValuesIn(cases()), [](const auto& tested) {
  return tested.param.topology + "_" + std::to_string(tested.param.world_size);
});

TEST_P(AllReduceOf, IsTheSumForEverySize) {
  run(*topology_, GetParam().world_size, {},
      [&](AllReduce& all_reduce) { sum_awkward_sizes(all_reduce, topology_.get()); });
}

TEST_P(AllReduceOf, GathersEverySize) {
  for (const LinkSettings settings : {LinkSettings{}, LinkSettings{1024, 3}})
    run(*topology_, GetParam().world_size, settings, gather_awkward_sizes);
}

TEST_P(AllReduceOf, GivesTheSameBitsWhateverTheSegments) {
  for (const LinkSettings settings :
       {LinkSettings{64, 1}, LinkSettings{1024, 3}, LinkSettings{1U << 15U, 32}}) {
    run(*topology_, GetParam().world_size, settings, [&](AllReduce& all_reduce) {
      FloatBuffer values = vector_of(all_reduce.self(), 4'001, 3);
      ASSERT_TRUE(all_reduce.all_reduce(values, all_reduce_deadline()).ok());
      expect_bits_of(*topology_, values, all_reduce.world_size(), 3);
    });
  }
}

TEST_P(AllReduceOf, SumsSeveralBucketsAtOnce) {
  run(*topology_, GetParam().world_size, {},
      [&](AllReduce& all_reduce) { sum_buckets(all_reduce, topology_.get()); });
}

TEST(AllReduce, SumsALargeVector) {
  run(*make_topology("ring"), 2, {}, [](AllReduce& all_reduce) { sum_large_vector(all_reduce); });
}

// Runs a sum over paced links and returns how long each rank took. Once its sum is complete, a rank does not
// call again.
std::vector<double> paced_sums(int world_size, std::size_t count, double rate,
                               std::chrono::milliseconds latency) {
  const auto topology = make_topology("ring");
  auto links = make_in_process_links(*topology, world_size);
  std::vector<double> seconds(static_cast<std::size_t>(world_size));
  std::latch done(world_size);
  std::vector<std::jthread> threads;
  for (auto& link : links) {
    threads.emplace_back([&, held = std::move(link)]() mutable {
      const auto all_reduce = make_all_reduce(*topology, make_paced_link(std::move(held), rate, latency));
      FloatBuffer values = vector_of(all_reduce->self(), count, 3);
      const auto start = AllReduce::Clock::now();
      const bool summed = all_reduce->all_reduce(values, all_reduce_deadline()).ok();
      const std::chrono::duration<double> taken = AllReduce::Clock::now() - start;
      done.arrive_and_wait();
      EXPECT_TRUE(summed);
      expect_bits_of(*topology, values, world_size, 3);
      seconds[static_cast<std::size_t>(all_reduce->self())] = taken.count();
    });
  }
  threads.clear();
  return seconds;
}

// Each rank sends 2 (p - 1) / p of the vector over a wire of its own: at 100 MB/s that takes its time.
TEST(AllReduce, OverAPacedLinkTakesTheTimeOfItsBytes) {
  constexpr std::size_t kCount = 300'000;
  constexpr double kRate = 1e8;
  for (const int world_size : {2, 3}) {
    const double sent = 2.0 * (world_size - 1) / world_size * kCount * sizeof(float);
    for (const double seconds : paced_sums(world_size, kCount, kRate, 0ms))
      EXPECT_GE(seconds, 0.9 * sent / kRate);
  }
}

// Between two ranks one exchange; in a ring of three what a rank adds comes back to it after three hops,
// whenever the others began.
TEST(AllReduce, OverALinkWithLatencyTakesItInEachStage) {
  constexpr double kAtOnce = std::numeric_limits<double>::infinity();
  for (const double seconds : paced_sums(2, 1'000, kAtOnce, 20ms)) EXPECT_GE(seconds, 0.02);
  for (const double seconds : paced_sums(3, 300'000, kAtOnce, 20ms)) EXPECT_GE(seconds, 3 * 0.02);
}

class TwoRanks : public testing::Test {
 protected:
  const std::unique_ptr<Topology> topology_ = make_topology("ring");
  std::vector<std::unique_ptr<Link>> links_ = make_in_process_links(*topology_, 2);
  const std::unique_ptr<AllReduce> first_ = make_all_reduce(*topology_, std::move(links_[0]));
  const std::unique_ptr<AllReduce> second_ = make_all_reduce(*topology_, std::move(links_[1]));
};

TEST_F(TwoRanks, AMissingPeerIsATimeoutThatNamesIt) {
  FloatBuffer values(100'000);
  const auto done = first_->all_reduce(values, AllReduce::Clock::now() + 20ms);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.fault().kind, FaultKind::timeout);
  EXPECT_EQ(done.fault().peer, 1);
  EXPECT_THAT(done.fault().reason, HasSubstr("rank 1"));
  EXPECT_FALSE(first_->progress().ok()) << "a fault is final";
  EXPECT_FALSE(first_->all_reduce(values, all_reduce_deadline()).ok());
}

TEST_F(TwoRanks, ADeadlineThatHasPassedStillLetsWhatIsThereBeUsed) {
  FloatBuffer mine(1000, 1.0F), theirs(1000, 2.0F);
  second_->start(theirs);
  EXPECT_TRUE(first_->all_reduce(mine, AllReduce::Clock::time_point::min()).ok());
  EXPECT_EQ(mine[999], 3.0F);
}

TEST_F(TwoRanks, DifferentCountsAreMalformed) {
  FloatBuffer mine(1000), theirs(1001);
  second_->start(theirs);
  const auto done = first_->all_reduce(mine, all_reduce_deadline());
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.fault().kind, FaultKind::malformed);
  EXPECT_EQ(done.fault().peer, 1);
  EXPECT_THAT(done.fault().reason, HasSubstr("4004 bytes where 4000 were expected"));
}

TEST_F(TwoRanks, SumsAreCompleteInTheOrderOfTheirStart) {
  FloatBuffer a(1000, 1.0F), b(200'000, 1.0F), c(1000, 1.0F), d(200'000, 1.0F);
  first_->start(a);
  first_->start(b);
  EXPECT_EQ(first_->progress().value(), 0U);
  second_->start(c);
  EXPECT_EQ(first_->progress().value(), 1U);
  EXPECT_EQ(a[999], 2.0F);
  second_->start(d);
  std::size_t complete = 0;
  while (complete < 4) complete = first_->progress().value() + second_->progress().value();
  EXPECT_TRUE(first_->finish(all_reduce_deadline()).ok());
  EXPECT_EQ(first_->progress().value(), 0U) << "finish() begins to count anew";
  EXPECT_EQ(d[199'999], 2.0F);
}

}  // namespace
}  // namespace gossamer
