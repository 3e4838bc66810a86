// All-reduce over ZeroMQ, between threads and, where one is killed, between processes.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <thread>
#include <zmq.hpp>

#include "comms/collectives/segment_header.h"
#include "comms/collectives/zmq_link.h"
#include "core/error.h"
#include "tests/comms/all_reduce_conformance.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

// Sockets of one test.
class Folder {
 public:
  Folder() {
    std::string path = testing::TempDir() + "gossamer-XXXXXX";
    if (mkdtemp(path.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = path;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string address(Rank rank) const { return "ipc://" + path_ + "/" + std::to_string(rank); }
  std::vector<std::string> addresses(int world_size) const {
    std::vector<std::string> all;
    for (Rank rank = 0; rank < world_size; ++rank) all.push_back(address(rank));
    return all;
  }

 private:
  std::string path_;
};

std::unique_ptr<AllReduce> join(const Topology& topology, ZmqEndpoint endpoint, Rank self,
                                const std::vector<std::string>& addresses) {
  auto link = endpoint.connect(topology, self, addresses, all_reduce_deadline());
  if (!link) throw RunError(link.fault().reason);
  return make_all_reduce(topology, std::move(link).value());
}

// Runs the body in a thread a rank; `listen` says where a rank listens.
void run(const Topology& topology, int world_size, const std::function<std::string(Rank)>& listen,
         const std::function<void(AllReduce&)>& body) {
  std::vector<ZmqEndpoint> endpoints;
  std::vector<std::string> addresses;
  for (Rank rank = 0; rank < world_size; ++rank) {
    ZmqLinkSettings settings;
    settings.listen = listen(rank);
    addresses.push_back(endpoints.emplace_back(settings).address());
  }
  std::vector<std::jthread> threads;
  for (Rank rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      const auto all_reduce =
          join(topology, std::move(endpoints[static_cast<std::size_t>(rank)]), rank, addresses);
      body(*all_reduce);
    });
  }
}

struct Case {
  std::string topology;
  bool tcp;
  int world_size;
};

class ZmqAllReduce : public testing::TestWithParam<Case> {
 protected:
  void run_case(const std::function<void(AllReduce&)>& body) {
    run(
        *topology_, GetParam().world_size,
        [this](Rank rank) { return GetParam().tcp ? "tcp://127.0.0.1:*" : folder_.address(rank); }, body);
  }
  const std::unique_ptr<Topology> topology_ = make_topology(GetParam().topology);
  const Folder folder_;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int world_size : {1, 2, 3, 4, 5, 8}) {
    all.push_back({"ring", world_size % 2 == 0, world_size});
    all.push_back({"all_to_all", world_size % 2 != 0, world_size});
  }
  all.push_back({"ring", false, 2});
  all.push_back({"grouped_ring", true, 4});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Zmq, ZmqAllReduce, testing::ValuesIn(cases()), [](const auto& tested) {
  return tested.param.topology + (tested.param.tcp ? "_tcp_" : "_ipc_") +
         std::to_string(tested.param.world_size);
});

TEST_P(ZmqAllReduce, IsTheSumForEverySize) {
  run_case([&](AllReduce& all_reduce) { sum_awkward_sizes(all_reduce, topology_.get()); });
}

TEST_P(ZmqAllReduce, GathersEverySize) { run_case(gather_awkward_sizes); }

TEST_P(ZmqAllReduce, SumsSeveralBucketsAtOnce) {
  run_case([&](AllReduce& all_reduce) { sum_buckets(all_reduce, topology_.get()); });
}

TEST(ZmqLink, SumsALargeVector) {
  run(
      *make_topology("ring"), 2, [](Rank) { return "tcp://127.0.0.1:*"; },
      [](AllReduce& all_reduce) { sum_large_vector(all_reduce); });
}

// Rank 2 is a process of its own, and killed while all are busy with sums.
TEST(ZmqLink, AKilledPeerIsNamedToAllOthers) {
  const auto topology = make_topology("ring");
  const Folder folder;
  constexpr int kRanks = 4;
  constexpr Rank kVictim = 2;
  const auto addresses = folder.addresses(kRanks);
  const auto sum_until_fault = [&](Rank rank, const std::function<void()>& after_each) {
    ZmqLinkSettings settings;
    settings.listen = addresses[static_cast<std::size_t>(rank)];
    const auto all_reduce = join(*topology, ZmqEndpoint(settings), rank, addresses);
    FloatBuffer values(1'000'000);
    while (true) {
      const auto done = all_reduce->all_reduce(values, all_reduce_deadline());
      if (!done) return done.fault();
      after_each();
    }
  };
  const pid_t victim = fork();  // before this process has threads
  ASSERT_GE(victim, 0);
  if (victim == 0) {
    sum_until_fault(kVictim, [] {});
    _exit(1);
  }
  std::atomic<int> sums{0};
  std::vector<std::optional<Fault>> faults(kRanks);
  {
    std::vector<std::jthread> threads;
    for (Rank rank = 0; rank < kRanks; ++rank) {
      if (rank == kVictim) continue;
      threads.emplace_back([&, rank] {
        faults[static_cast<std::size_t>(rank)] = sum_until_fault(rank, [&] {
          ++sums;
          sums.notify_all();
        });
      });
    }
    for (int seen = 0; seen < 10; seen = sums) sums.wait(seen);
    ASSERT_EQ(kill(victim, SIGKILL), 0);
  }
  waitpid(victim, nullptr, 0);
  for (Rank rank = 0; rank < kRanks; ++rank) {
    if (rank == kVictim) continue;
    const auto& fault = faults[static_cast<std::size_t>(rank)];
    ASSERT_TRUE(fault.has_value());
    EXPECT_EQ(fault->kind, FaultKind::disconnected) << rank << ": " << fault->reason;
    EXPECT_EQ(fault->peer, kVictim) << rank << ": " << fault->reason;
  }
}

class TwoPeers : public testing::Test {
 protected:
  ZmqLinkSettings settings(Rank rank) const {
    ZmqLinkSettings settings;
    settings.listen = folder_.address(rank);
    settings.group = 5;
    settings.link = link_;
    return settings;
  }
  void meet() {
    std::jthread other([this] { second_ = join(*topology_, ZmqEndpoint(settings(1)), 1, addresses_); });
    first_ = join(*topology_, ZmqEndpoint(settings(0)), 0, addresses_);
  }
  void expect_sum_of_two() {
    FloatBuffer mine(100'000, 1.0F), theirs(100'000, 2.0F);
    std::jthread other([&] { EXPECT_TRUE(second_->all_reduce(theirs, all_reduce_deadline()).ok()); });
    const auto done = first_->all_reduce(mine, all_reduce_deadline());
    ASSERT_TRUE(done.ok()) << done.fault().reason;
    EXPECT_EQ(mine[99'999], 3.0F);
  }

  const std::unique_ptr<Topology> topology_ = make_topology("ring");
  const Folder folder_;
  const std::vector<std::string> addresses_ = folder_.addresses(2);
  LinkSettings link_ = ZmqLinkSettings{}.link;
  std::unique_ptr<AllReduce> first_, second_;
};

TEST_F(TwoPeers, APeerThatIsNotThereIsATimeoutThatNamesIt) {
  const auto link =
      ZmqEndpoint(settings(0)).connect(*topology_, 0, addresses_, AllReduce::Clock::now() + 100ms);
  ASSERT_FALSE(link.ok());
  EXPECT_EQ(link.fault().kind, FaultKind::timeout);
  EXPECT_EQ(link.fault().peer, 1);
}

TEST_F(TwoPeers, APeerThatDoesNotSumIsATimeoutThatNamesIt) {
  meet();
  FloatBuffer values(1'000'000);
  const auto done = first_->all_reduce(values, AllReduce::Clock::now() + 100ms);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.fault().kind, FaultKind::timeout);
  EXPECT_EQ(done.fault().peer, 1);
  first_.reset();  // and lets go of the values, although nobody has taken them
}

TEST_F(TwoPeers, APeerThatLeavesEarlyIsNamed) {
  meet();
  second_.reset();
  FloatBuffer values(100'000);
  const auto done = first_->all_reduce(values, all_reduce_deadline());
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.fault().kind, FaultKind::disconnected);
  EXPECT_EQ(done.fault().peer, 1);
}

TEST_F(TwoPeers, WhoLeavesAfterItsLastSumIsNotMissed) {
  meet();
  FloatBuffer mine(100'000, 1.0F), theirs(100'000, 2.0F);
  first_->start(mine);
  ASSERT_TRUE([&] {
    std::jthread other([&] {
      EXPECT_TRUE(second_->all_reduce(theirs, all_reduce_deadline()).ok());
      second_.reset();
    });
    return first_->finish(all_reduce_deadline()).ok();
  }());
  EXPECT_EQ(mine[99'999], 3.0F);
}

// What a stranger sends is not heard; it does not disturb the peers.
TEST_F(TwoPeers, StrangersAreNotHeard) {
  meet();
  zmq::context_t context;
  zmq::socket_t stranger(context, zmq::socket_type::push);
  stranger.connect(addresses_[0]);
  const auto other_group = encode_segment_header({SegmentKind::failed, 1, 6, 1, 0});
  stranger.send(zmq::buffer(other_group), zmq::send_flags::none);
  stranger.send(zmq::str_buffer("rubbish"), zmq::send_flags::sndmore);
  stranger.send(zmq::str_buffer("and more"), zmq::send_flags::none);
  expect_sum_of_two();
  stranger.close();
  expect_sum_of_two();
}

// Rank 1 as a socket in this test's hands.
class Rogue : public TwoPeers {
 protected:
  void meet_rogue() {
    mine_.bind(addresses_[1]);
    theirs_.connect(addresses_[0]);
    say({SegmentKind::hello, 1, 5, 0, 0});
    first_ = join(*topology_, ZmqEndpoint(settings(0)), 0, addresses_);
  }
  void say(const SegmentHeader& header, std::size_t payload_bytes = 0) {
    const bool more = payload_bytes > 0;
    theirs_.send(zmq::buffer(encode_segment_header(header)),
                 more ? zmq::send_flags::sndmore : zmq::send_flags::none);
    if (more) theirs_.send(zmq::message_t(payload_bytes), zmq::send_flags::none);
  }
  void expect_malformed(const std::string& text, std::size_t count = 16) {
    FloatBuffer values(count);
    const auto done = first_->all_reduce(values, all_reduce_deadline());
    ASSERT_FALSE(done.ok());
    EXPECT_EQ(done.fault().kind, FaultKind::malformed);
    EXPECT_EQ(done.fault().peer, 1);
    EXPECT_THAT(done.fault().reason, HasSubstr(text));
  }

  zmq::context_t context_;
  zmq::socket_t mine_{context_, zmq::socket_type::pull};
  zmq::socket_t theirs_{context_, zmq::socket_type::push};
};

TEST_F(Rogue, ASegmentOutOfOrderIsMalformed) {
  meet_rogue();
  say({SegmentKind::data, 1, 5, 1, 0}, 64);
  expect_malformed("a segment is missing");
}

TEST_F(Rogue, ASegmentOfAnotherSizeIsMalformed) {
  meet_rogue();
  say({SegmentKind::data, 1, 5, 0, 0}, 65);
  expect_malformed("65 bytes where 64 were expected");
}

TEST_F(Rogue, ADataMessageWithoutDataIsMalformed) {
  meet_rogue();
  say({SegmentKind::data, 1, 5, 0, 0});
  expect_malformed("message of 1 parts");
}

TEST_F(Rogue, CreditForWhatWasNotSentIsMalformed) {
  meet_rogue();
  say({SegmentKind::credit, 1, 5, 0, 1000});
  expect_malformed("has consumed what it was not sent");
}

// The rogue gives no credit, so we soon stop sending, and taking; it goes on.
TEST_F(Rogue, MoreThanTheCreditIsMalformed) {
  link_ = {8192, 4};
  meet_rogue();
  for (std::uint64_t i = 0; i < 64; ++i) say({SegmentKind::data, 1, 5, i, 0}, 8192);
  expect_malformed("sends more than it may", 2 * 64 * 2048);
}

TEST(ZmqEndpoint, BeyondLoopbackItNeedsPermission) {
  ZmqLinkSettings settings;
  settings.listen = "tcp://0.0.0.0:*";
  EXPECT_THROW(ZmqEndpoint{settings}, ConfigError);
  settings.insecure = true;
  EXPECT_THAT(ZmqEndpoint(settings).address(), HasSubstr("tcp://"));
  settings.listen = "somewhere";
  EXPECT_THROW(ZmqEndpoint{settings}, ConfigError);
}

}  // namespace
}  // namespace gossamer
