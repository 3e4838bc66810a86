// Shard 0 and the others, each over a transport that follows a script; and who waits for whom.
#include "server/shard_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comms/codec.h"
#include "coordinator_support.h"
#include "core/error.h"
#include "server/remote_shards.h"
#include "server/shard_gate.h"
#include "tests/comms/scripted_transport.h"

namespace gossamer {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Do = ShardOrder::Kind;

constexpr Rank kClientRank = 5;

class ShardsByScript : public ::testing::Test {
 protected:
  Hello hello(std::int64_t shards = 2) const {
    return {options_.digest(), initial_->layout->fingerprint(), 0, kWireVersion, shards};
  }
  void arrives(Rank from, Frame frame) { transport_.inbox.push_back(Message{from, std::move(frame)}); }
  void is_gone(Rank rank) { transport_.inbox.push_back(Fault{FaultKind::disconnected, "gone", rank}); }
  void orders(std::vector<ShardOrder> orders) { arrives(0, encode_orders(0, orders)); }
  std::vector<Frame> sent(FrameType type, Rank to) const {
    std::vector<Frame> frames;
    for (const Message& message : transport_.sent) {
      if (message.frame.header.type == type && message.from == to) frames.push_back(message.frame);
    }
    return frames;
  }

  Options options_ = server_options({{"server.shards", "2"}, {"data.clients", "3"}});
  std::shared_ptr<const Parameters> initial_ = model_of({1, 2, 3, 4});
  ScriptedTransport transport_;
};

class AShard : public ShardsByScript {
 protected:
  // Registered, then what the script has, then the end.
  std::string run() {
    transport_.inbox.push_front(Message{0, encode_text(FrameType::welcome, 0, kId, "")});
    arrives(0, encode_text(FrameType::finish, 0, 0, "over"));
    ShardProcess process(options_, *initial_, 1, transport_);
    return process.run("tcp://here:1", 60s, [] { return false; });
  }
  void client_joins(ClientId client, Rank from, std::uint64_t attempt = 1) {
    arrives(from, encode_hello(0, client, hello(), attempt));
  }
  void part(ClientId client, Rank from, Round round, std::vector<float> values) {
    arrives(from, encode_update(0, update_of(client, round, std::move(values))));
  }

  static constexpr ClientId kId = 4;
};

TEST_F(AShard, DoesWhatItIsTold) {
  client_joins(0, kClientRank);
  orders({{Do::begin}, {Do::serve, 0, 1, 5}});
  part(0, kClientRank, 1, {10, 20});
  orders({{Do::add, 0, 1, 2}, {Do::commit}, {Do::show_model}, {Do::show_end}});
  EXPECT_EQ(run(), "over");

  EXPECT_EQ(transport_.sent.front().frame.header.type, FrameType::hello);
  EXPECT_EQ(transport_.sent.front().frame.header.client, kId);
  EXPECT_EQ(decode_text(sent(FrameType::address, 0).at(0)).value(), "tcp://here:1");
  EXPECT_EQ(sent(FrameType::welcome, kClientRank).size(), 1U);
  EXPECT_EQ(sent(FrameType::linked, 0).at(0).header.client, 0);
  const Frame model = sent(FrameType::model, kClientRank).at(0);
  EXPECT_EQ(model.header.metadata, 1);
  EXPECT_EQ(model.header.round, 1);
  EXPECT_EQ(std::memcmp(model.payload.bytes.data(), initial_->values.data() + 2, 2 * sizeof(float)), 0);
  const PartNotice notice = decode_part(sent(FrameType::part, 0).at(0)).value();
  EXPECT_TRUE(notice.well);
  EXPECT_EQ(notice.serving, 5);
  EXPECT_EQ(notice.bytes_down, kFrameHeaderBytes + 8);
  EXPECT_EQ(notice.bytes_up, kFrameHeaderBytes + 8);
  const auto sections = sent(FrameType::section, 0);
  ASSERT_EQ(sections.size(), 2U);
  EXPECT_EQ(decode_section(sections[0]).value().values, (FloatBuffer{13, 24}));
}

TEST_F(AShard, SaysWhatAPartIs) {
  client_joins(0, kClientRank);
  orders({{Do::serve, 0, 1, 0}});
  part(0, kClientRank, 1, {10, 20, 30});  // too long
  part(1, kClientRank, 1, {10, 20});      // in another's name: dropped
  part(0, kClientRank, 7, {10, 20});      // not asked for, but said
  EXPECT_EQ(run(), "over");
  const auto notices = sent(FrameType::part, 0);
  ASSERT_EQ(notices.size(), 2U);
  EXPECT_FALSE(decode_part(notices[0]).value().well);
  EXPECT_FALSE(decode_part(notices[1]).value().well);
  EXPECT_EQ(notices[1].header.round, 7);
}

TEST_F(AShard, TellsWhoComesAndGoes) {
  client_joins(0, kClientRank);
  client_joins(1, kClientRank);
  client_joins(0, kClientRank);     // asked again: it was busy
  client_joins(0, kClientRank, 2);  // started again
  client_joins(0, kClientRank + 1);
  client_joins(3, kClientRank);  // there is none
  arrives(kClientRank, encode_hello(0, 2, hello(3)));
  is_gone(kClientRank);
  EXPECT_EQ(run(), "over");
  std::vector<ClientId> linked, lost;
  for (const Frame& frame : sent(FrameType::linked, 0)) linked.push_back(frame.header.client);
  for (const Frame& frame : sent(FrameType::lost, 0)) lost.push_back(frame.header.client);
  EXPECT_THAT(linked, ElementsAre(0, 1, 0));
  EXPECT_THAT(lost, ElementsAre(0, 1));
  EXPECT_EQ(sent(FrameType::refuse, kClientRank).size(), 2U);
  EXPECT_EQ(sent(FrameType::refuse, kClientRank + 1).size(), 1U);
}

TEST_F(AShard, EndsWithShardZero) {
  is_gone(0);
  EXPECT_THROW(run(), RunError);
  ShardProcess silent(options_, *initial_, 1, transport_);
  transport_.inbox.clear();
  EXPECT_THROW(silent.run("", 0s, [] { return false; }), RunError);
  arrives(0, encode_text(FrameType::refuse, 0, 0, "not you"));
  ShardProcess refused(options_, *initial_, 1, transport_);
  EXPECT_THROW(refused.run("", 60s, [] { return false; }), ConfigError);
}

TEST_F(AShard, DoesNotGoOnWithOrdersThatItCannotCarryOut) {
  orders({{Do::add, 0, 1, 1}});
  EXPECT_THROW(run(), RunError);
}

class FirstShard : public ShardsByScript {
 protected:
  static constexpr Rank kShardRank = 9;

  Message registration(Rank from, std::int64_t shards = 2) const {
    return {from, encode_hello(0, 4, hello(shards))};
  }
  RemoteShards shards_{options_, *initial_->layout, transport_, 60s};
};

TEST_F(FirstShard, OrdersWaitForTheShard) {
  shards_.restore(1, {{ShardSection::Kind::model, 0, {1, 2}}});
  shards_.tell({{Do::hold, 0, 3, 0}});
  EXPECT_TRUE(transport_.sent.empty());
  EXPECT_TRUE(shards_.is_id(4));
  EXPECT_FALSE(shards_.is_id(3) || shards_.is_id(5) || shards_.is_id(kUnassignedClient));
  EXPECT_TRUE(shards_.admit(registration(kShardRank)));
  EXPECT_FALSE(shards_.admit(registration(kShardRank)));  // asked again
  EXPECT_EQ(sent(FrameType::welcome, kShardRank).size(), 2U);
  std::vector<FrameType> types;
  for (const Message& message : transport_.sent) types.push_back(message.frame.header.type);
  EXPECT_THAT(types, ElementsAre(FrameType::welcome, FrameType::section, FrameType::section, FrameType::order,
                                 FrameType::welcome));
  EXPECT_FALSE(shards_.are_complete());
  shards_.meet(1, "tcp://there:1");
  EXPECT_TRUE(shards_.are_complete());
  EXPECT_THAT(shards_.addresses(), ElementsAre("", "tcp://there:1"));
}

TEST_F(FirstShard, RefusesWhoDoesNotFit) {
  EXPECT_FALSE(shards_.admit(registration(kShardRank, 3)));
  EXPECT_EQ(sent(FrameType::refuse, kShardRank).size(), 1U);
  EXPECT_TRUE(shards_.admit(registration(kShardRank)));
  EXPECT_FALSE(shards_.admit(registration(kShardRank + 1)));
  EXPECT_EQ(sent(FrameType::refuse, kShardRank + 1).size(), 1U);
}

TEST_F(FirstShard, OthersAreHeardAfterItHasBeenAnswered) {
  EXPECT_THROW(shards_.show({{Do::show_model}}), RunError);  // it has not come yet
  shards_.admit(registration(kShardRank));
  arrives(2, encode_signal(FrameType::ready, 0, 1));
  arrives(kShardRank, encode_section(0, {ShardSection::Kind::model, 0, {5, 6}}));
  arrives(kShardRank, encode_signal(FrameType::linked, 0, 2));
  is_gone(2);
  arrives(kShardRank, encode_section(0, {}));
  const auto shown = shards_.show({{Do::show_model}});
  ASSERT_EQ(shown.size(), 1U);
  ASSERT_EQ(shown[0].size(), 1U);
  EXPECT_EQ(shown[0][0].values, (FloatBuffer{5, 6}));
  const auto soon = Transport::Clock::now();
  EXPECT_EQ(shards_.receive(soon).value().frame.header.type, FrameType::ready);
  EXPECT_EQ(shards_.receive(soon).value().frame.header.type, FrameType::linked);
  EXPECT_EQ(shards_.receive(soon).fault().kind, FaultKind::disconnected);
  EXPECT_EQ(shards_.receive(soon).fault().kind, FaultKind::timeout);
}

TEST_F(FirstShard, NamesTheOneThatIsLost) {
  shards_.admit(registration(kShardRank));
  shards_.meet(1, "tcp://there:1");
  is_gone(kShardRank);
  try {
    shards_.show({{Do::show_model}});
    FAIL() << "nobody answered";
  } catch (const RunError& error) {
    EXPECT_THAT(error.what(), HasSubstr("shard 1 at tcp://there:1"));
  }
  EXPECT_TRUE(shards_.is_broken());
}

TEST_F(FirstShard, ReadsOnUntilTheOthersHaveGone) {
  {
    RemoteShards shards(options_, *initial_->layout, transport_, 60s);
    shards.admit(registration(kShardRank));
    arrives(kShardRank, encode_signal(FrameType::lost, 0, 1));
    is_gone(2);
    is_gone(kShardRank);
    arrives(2, encode_signal(FrameType::ready, 0, 1));
  }
  EXPECT_EQ(sent(FrameType::finish, kShardRank).size(), 1U);
  EXPECT_EQ(transport_.inbox.size(), 1U);
}

// A part may be under way to a shard, or a notice of it from there, while the client is served again.
TEST_F(FirstShard, KnowsNoticesOfAnEarlierServing) {
  SendModel send{4, {0, 2}, {}, std::nullopt};
  shards_.serve(send);
  EXPECT_TRUE(send.more.empty());
  EXPECT_TRUE(shards_.is_current({0, 4, true, 0, 0, 1}));
  send.clients = {0};
  shards_.serve(send);
  EXPECT_FALSE(shards_.is_current({0, 4, true, 0, 0, 1}));
  EXPECT_TRUE(shards_.is_current({0, 4, true, 0, 0, 2}));
  EXPECT_TRUE(shards_.is_current({2, 4, true, 0, 0, 1}));
  EXPECT_FALSE(shards_.is_current({1, 4, true, 0, 0, 0}));  // never served
  EXPECT_TRUE(shards_.is_current({0, 4, false, 0, 0, 0}));
}

TEST_F(FirstShard, CountsWhatAShardHasMovedOnce) {
  const auto moved = [&](std::uint64_t down, std::uint64_t up) {
    const RemoteShards::Moved count = shards_.count(1, {0, 0, true, down, up});
    return std::pair(count.down, count.up);
  };
  EXPECT_EQ(moved(10, 20), (std::pair<std::uint64_t, std::uint64_t>(10, 20)));
  EXPECT_EQ(moved(15, 20), (std::pair<std::uint64_t, std::uint64_t>(5, 0)));
  EXPECT_EQ(moved(1, 1), (std::pair<std::uint64_t, std::uint64_t>(0, 0)));
}

TEST(ShardGate, OpensWithTheLastLinkAndClosesWithTheFirst) {
  ShardGate gate(3);
  EXPECT_FALSE(gate.link(7, 0));
  EXPECT_FALSE(gate.link(7, 2));
  EXPECT_FALSE(gate.unlink(7, 2));
  EXPECT_FALSE(gate.link(7, 1));
  EXPECT_TRUE(gate.link(7, 2));
  EXPECT_TRUE(gate.link(7, 1));  // anew
  EXPECT_FALSE(gate.link(8, 1));
  EXPECT_TRUE(gate.unlink(7, 0));
  EXPECT_FALSE(gate.unlink(7, 1));
  ShardGate most(kMostShards);
  for (std::size_t s = 0; s + 1 < kMostShards; ++s) EXPECT_FALSE(most.link(0, s));
  EXPECT_TRUE(most.link(0, kMostShards - 1));
  EXPECT_TRUE(gate.has_link(7, 2));
  EXPECT_FALSE(gate.has_link(7, 0) || gate.has_link(9, 0));
}

TEST(ShardGate, AnUpdateIsWholeWithItsLastPart) {
  ShardGate gate(3);
  EXPECT_FALSE(gate.part(2, 7, 1, true));
  EXPECT_FALSE(gate.part(update_of(7, 1, {5})));
  EXPECT_FALSE(gate.part(2, 7, 1, true));  // twice
  const auto update = gate.part(1, 7, 1, true);
  ASSERT_TRUE(update);
  EXPECT_EQ(update->content.elements, 1U);
  EXPECT_FALSE(gate.part(1, 7, 1, true));  // it starts over

  EXPECT_FALSE(gate.part(1, 7, 2, false));
  EXPECT_FALSE(gate.part(2, 7, 1, true));  // too old
  EXPECT_FALSE(gate.part(2, 7, 2, true));
  const auto bad = gate.part(update_of(7, 2, {5}));
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->info.client, 7);
  EXPECT_EQ(bad->content.elements, 0U);

  EXPECT_FALSE(gate.part(1, 7, 3, false));
  EXPECT_FALSE(gate.part(1, 7, 3, true));  // what it says last counts
  EXPECT_FALSE(gate.is_open(7));           // nothing from the client itself
  EXPECT_FALSE(gate.part(update_of(7, 3, {5})));
  EXPECT_TRUE(gate.is_open(7));
  EXPECT_EQ(gate.part(2, 7, 3, true)->content.elements, 1U);
  EXPECT_FALSE(gate.is_open(7));

  EXPECT_FALSE(gate.part(1, 7, 3, true));
  gate.forget(7);
  EXPECT_FALSE(gate.part(update_of(7, 3, {5})));
  EXPECT_FALSE(gate.part(2, 7, 3, true));
  EXPECT_TRUE(gate.part(1, 7, 3, true));
}

}  // namespace
}  // namespace gossamer
