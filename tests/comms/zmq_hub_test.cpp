// Several connections as one transport.
#include "comms/zmq_hub.h"

#include <gtest/gtest.h>

#include <map>

#include "comms/codec.h"
#include "tests/comms/transport_conformance.h"

namespace gossamer {
namespace {

constexpr std::uint64_t kHubPayload = 1 << 16;

std::unique_ptr<Transport> hub_server() {
  ZmqServerSettings settings;
  settings.listen = "tcp://127.0.0.1:0";
  settings.limits.max_payload_bytes = kHubPayload;
  return make_zmq_server(settings);
}

ZmqClientSettings to(const std::string& endpoint, ClientId client) {
  ZmqClientSettings settings;
  settings.connect = endpoint;
  settings.client = client;
  settings.limits.max_payload_bytes = kHubPayload;
  return settings;
}

TEST(ZmqHub, RanksAreServersInOrder) {
  const auto first = hub_server(), second = hub_server();
  const auto hub = make_zmq_hub();
  hub->connect(to(first->endpoint(), 3));
  EXPECT_EQ(hub->endpoint(), first->endpoint());
  EXPECT_EQ(hub->send(1, update_frame(3, 1, {})).fault().kind, FaultKind::disconnected);
  hub->connect(to(second->endpoint(), 3));
  ASSERT_TRUE(hub->send(0, update_frame(3, 10, {})).ok());
  ASSERT_TRUE(hub->send(1, update_frame(3, 11, {})).ok());
  const auto at_first = expect_message(*first), at_second = expect_message(*second);
  ASSERT_TRUE(at_first && at_second);
  EXPECT_EQ(at_first->frame.header.sequence, 10U);
  EXPECT_EQ(at_second->frame.header.sequence, 11U);

  EXPECT_EQ(hub->receive(Transport::Clock::now()).fault().kind, FaultKind::timeout);
  ASSERT_TRUE(second->send(at_second->from, update_frame(3, 21, random_bytes(1000, 1))).ok());
  auto back = expect_message(*hub);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->from, 1);
  ASSERT_TRUE(first->send(at_first->from, update_frame(3, 20, {})).ok());
  back = expect_message(*hub);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->from, 0);
  EXPECT_TRUE(hub->flush(soon()).ok());
}

TEST(ZmqHub, TakesFromAllOfThemInTurn) {
  const auto first = hub_server(), second = hub_server();
  const auto hub = make_zmq_hub();
  for (const auto* server : {first.get(), second.get()}) hub->connect(to(server->endpoint(), 3));
  std::map<Rank, Rank> there;
  for (const Rank rank : {0, 1}) {
    ASSERT_TRUE(hub->send(rank, update_frame(3, 1, {})).ok());
    const auto hello = expect_message(rank == 0 ? *first : *second);
    ASSERT_TRUE(hello);
    there[rank] = hello->from;
  }
  for (std::uint64_t i = 0; i < 100; ++i) {
    ASSERT_TRUE(first->send(there[0], update_frame(3, i, {})).ok());
    ASSERT_TRUE(second->send(there[1], update_frame(3, i, {})).ok());
  }
  std::map<Rank, std::uint64_t> next;
  for (int i = 0; i < 200; ++i) {
    const auto message = expect_message(*hub);
    ASSERT_TRUE(message);
    EXPECT_EQ(message->frame.header.sequence, next[message->from]++);  // in order from each
  }
}

TEST(ZmqHub, WhoConnectsComesAfterTheServers) {
  const auto above = hub_server();
  ZmqServerSettings own;
  own.listen = "tcp://127.0.0.1:0";
  own.limits.max_payload_bytes = kHubPayload;
  const auto hub = make_zmq_hub(own);
  hub->connect(to(above->endpoint(), 5));
  auto guest = make_zmq_client(to(hub->endpoint(), 6));
  ASSERT_TRUE(guest->send(0, update_frame(6, 1, {})).ok());
  const auto message = expect_message(*hub);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->from, 1);
  ASSERT_TRUE(hub->send(1, update_frame(6, 2, {})).ok());
  const auto answer = expect_message(*guest);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->frame.header.sequence, 2U);
  ASSERT_TRUE(hub->send(0, update_frame(5, 3, {})).ok());
  ASSERT_TRUE(expect_message(*above));

  guest.reset();
  const auto lost = hub->receive(soon());
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.fault().kind, FaultKind::disconnected);
  EXPECT_EQ(lost.fault().peer, 1);
}

TEST(ZmqHub, SaysWhichServerIsLost) {
  const auto first = hub_server();
  auto second = hub_server();
  const auto hub = make_zmq_hub();
  for (const auto* server : {first.get(), second.get()}) hub->connect(to(server->endpoint(), 3));
  ASSERT_TRUE(hub->send(1, update_frame(3, 1, {})).ok());
  ASSERT_TRUE(expect_message(*second));
  second.reset();
  const auto lost = hub->receive(soon());
  ASSERT_FALSE(lost.ok());
  EXPECT_EQ(lost.fault().kind, FaultKind::disconnected);
  EXPECT_EQ(lost.fault().peer, 1);
}

}  // namespace
}  // namespace gossamer
