// Messages of any length along routes, over the narrowest links.
#include "comms/collectives/message_exchange.h"

#include <gmock/gmock.h>

#include "comms/collectives/in_process_link.h"
#include "core/rng.h"
#include "tests/comms/all_reduce_conformance.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

// Sends a message of its own and passes on what it has got.
class Passing final : public MessageHandler {
 public:
  Passing(Rank self, int world_size, std::size_t length) : messages_(static_cast<std::size_t>(world_size)) {
    Rng rng(7, Purpose::test, static_cast<std::uint64_t>(self));
    ByteBuffer own(length);
    for (std::byte& byte : own) byte = static_cast<std::byte>(rng() & 0xFFU);
    messages_[static_cast<std::size_t>(self)] = SharedBytes::of(std::move(own));
  }

  std::size_t most_bytes() const noexcept override { return most; }
  SharedBytes outgoing(std::size_t, const Send& send) override {
    return messages_[static_cast<std::size_t>(send.chunk)];
  }
  Result<std::monostate> take(std::size_t, const Receive& receive, SharedBytes message) override {
    if (refuses) return malformed("not that one");
    messages_[static_cast<std::size_t>(receive.chunk)] = std::move(message);
    return std::monostate{};
  }

  std::vector<std::byte> message(std::size_t rank) const {
    return {messages_[rank].bytes.begin(), messages_[rank].bytes.end()};
  }

  std::size_t most = 10'000;
  bool refuses = false;

 private:
  std::vector<SharedBytes> messages_;
};

struct Member {
  Routes routes;
  std::unique_ptr<Passing> handler;
  std::unique_ptr<MessageExchange> exchange;
};

std::vector<Member> gathering(const Topology& topology, int world_size, const LinkSettings& settings) {
  auto links = make_in_process_links(topology, world_size, settings);
  std::vector<Member> ranks;
  for (Rank rank = 0; rank < world_size; ++rank) {
    const auto i = static_cast<std::size_t>(rank);
    // None, less than a segment with its prefix, exactly one, several.
    const std::vector<std::size_t> lengths{0, 5, 56, 57, 1000, 64, 120, 4097};
    ranks.push_back({topology.gather_routes(rank, world_size),
                     std::make_unique<Passing>(rank, world_size, lengths[i % lengths.size()]),
                     std::make_unique<MessageExchange>(std::move(links[i]))});
  }
  return ranks;
}

// One thread gives each rank its turn; none where nobody gets any further.
void run_to_end(std::vector<Member>& ranks) {
  for (Member& rank : ranks) rank.exchange->start(rank.routes, *rank.handler);
  std::size_t complete = 0;
  for (int turn = 0; complete < ranks.size(); ++turn) {
    ASSERT_LT(turn, 100'000) << "blocked";
    complete = 0;
    for (Member& rank : ranks) {
      const auto done = rank.exchange->progress();
      ASSERT_TRUE(done.ok()) << done.fault().reason;
      complete += done.value() ? 1 : 0;
    }
  }
}

TEST(MessageExchange, EveryRankEndsWithAllMessagesOverTheNarrowestLink) {
  for (const char* name : {"ring", "grouped_ring", "all_to_all"}) {
    const auto topology = make_topology(name);
    for (int world_size = 1; world_size <= 9; ++world_size) {
      auto ranks = gathering(*topology, world_size, {64, 1});
      for (int repeat = 0; repeat < 2; ++repeat) {
        run_to_end(ranks);
        std::uint64_t sent = 0, received = 0;
        for (const Member& rank : ranks) {
          sent += rank.exchange->bytes().sent;
          received += rank.exchange->bytes().received;
          for (std::size_t other = 0; other < ranks.size(); ++other)
            EXPECT_EQ(rank.handler->message(other), ranks[other].handler->message(other)) << name;
        }
        std::uint64_t expected = 0;
        for (std::size_t other = 0; other < ranks.size(); ++other)
          expected +=
              (ranks.size() - 1) * (kMessagePrefixBytes + ranks[other].handler->message(other).size());
        EXPECT_EQ(sent, expected) << name << ' ' << world_size;
        EXPECT_EQ(received, expected);
      }
    }
  }
}

TEST(MessageExchange, InOneProcessItIsTheSame) {
  const auto topology = make_topology("ring");
  auto ranks = gathering(*topology, 5, {64, 1});
  std::vector<Routes> routes;
  std::vector<MessageHandler*> handlers;
  for (const Member& rank : ranks) {
    routes.push_back(rank.routes);
    handlers.push_back(rank.handler.get());
  }
  std::uint64_t bytes = 0;
  int stages = 0;
  ASSERT_TRUE(exchange_in_process(
                  routes, handlers, [&](Rank, Rank, std::size_t one) { bytes += one; }, [&] { ++stages; })
                  .ok());
  std::uint64_t expected = 0;
  for (std::size_t other = 0; other < ranks.size(); ++other)
    expected += 4 * (kMessagePrefixBytes + ranks[other].handler->message(other).size());
  EXPECT_EQ(bytes, expected);
  EXPECT_EQ(stages, 4);
  for (const Member& rank : ranks) {
    for (std::size_t other = 0; other < ranks.size(); ++other)
      EXPECT_EQ(rank.handler->message(other), ranks[other].handler->message(other));
  }
}

Fault fault_of(std::vector<Member>& ranks) {
  for (Member& rank : ranks) rank.exchange->start(rank.routes, *rank.handler);
  for (int turn = 0; turn < 100'000; ++turn) {
    for (Member& rank : ranks) {
      if (const auto done = rank.exchange->progress(); !done) {
        EXPECT_FALSE(rank.exchange->progress().ok());  // it stays
        return done.fault();
      }
    }
  }
  return {FaultKind::timeout, "no fault"};
}

TEST(MessageExchange, AMessageThatIsTooLongOrRefusedEndsItAndNamesItsSender) {
  const auto topology = make_topology("ring");
  auto ranks = gathering(*topology, 3, {64, 1});
  for (Member& rank : ranks) rank.handler->most = 55;
  const Fault too_long = fault_of(ranks);
  EXPECT_EQ(too_long.kind, FaultKind::malformed);
  EXPECT_EQ(too_long.peer, 2);
  EXPECT_THAT(too_long.reason, HasSubstr("56 bytes where at most 55 were expected"));

  auto others = gathering(*topology, 3, {64, 1});
  others[1].handler->refuses = true;
  const Fault refused = fault_of(others);
  EXPECT_EQ(refused.peer, 0);
  EXPECT_THAT(refused.reason, HasSubstr("not that one"));
}

// What is not a message at all: bytes that were put on the link by hand.
TEST(MessageExchange, BytesThatAreNoMessageAreAFault) {
  const auto topology = make_topology("ring");
  const auto after = [&](std::vector<std::byte> bytes) {
    auto links = make_in_process_links(*topology, 2, {64, 4});
    EXPECT_TRUE(links[1]->send(0, bytes, false));
    Passing handler(0, 2, 3);
    MessageExchange exchange(std::move(links[0]));
    const Routes routes = topology->gather_routes(0, 2);
    exchange.start(routes, handler);
    const auto done = exchange.progress();
    return done.ok() ? Fault{FaultKind::timeout, "no fault"} : done.fault();
  };
  EXPECT_THAT(after(std::vector<std::byte>(7)).reason, HasSubstr("without a length"));
  EXPECT_THAT(after(std::vector<std::byte>(9)).reason, HasSubstr("more bytes than"));
  EXPECT_THAT(after(std::vector<std::byte>(8, std::byte{0xFF})).reason, HasSubstr("at most 10000"));
  EXPECT_EQ(after(std::vector<std::byte>(8)).reason, "no fault");
}

}  // namespace
}  // namespace gossamer
