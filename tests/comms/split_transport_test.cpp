#include "comms/split_transport.h"

#include <gmock/gmock.h>

#include "comms/codec.h"
#include "tests/comms/scripted_transport.h"

namespace gossamer {
namespace {

class Split : public testing::Test {
 protected:
  static Message from(Rank rank, FrameType type, ClientId client) {
    return {rank, encode_signal(type, 1, client)};
  }
  static Result<Message> next(Transport& transport) { return transport.receive(Transport::Clock::now()); }

  std::unique_ptr<ScriptedTransport> made_ = std::make_unique<ScriptedTransport>();
  ScriptedTransport& whole_ = *made_;
  // Clients 0 to 9 have their server on rank 3, others on rank 4.
  SplitTransport split_ =
      split_transport(std::move(made_), [](ClientId client) { return client < 10 ? 3 : 4; });
};

TEST_F(Split, EachHalfHearsItsOwn) {
  whole_.inbox = {from(3, FrameType::cancel, 2), from(7, FrameType::ready, 20),
                  from(4, FrameType::cancel, 12), from(8, FrameType::ready, 21)};
  const auto ready = next(*split_.below);
  ASSERT_TRUE(ready.ok());
  EXPECT_EQ(ready.value().from, 7);
  EXPECT_EQ(ready.value().frame.header.client, 20);
  for (const ClientId client : {2, 12}) {
    const auto cancel = next(*split_.above);
    ASSERT_TRUE(cancel.ok());
    EXPECT_EQ(cancel.value().from, 0) << "its server, wherever that is";
    EXPECT_EQ(cancel.value().frame.header.client, client);
  }
  EXPECT_FALSE(next(*split_.above).ok());
  EXPECT_EQ(next(*split_.below).value().from, 8);
  EXPECT_FALSE(next(*split_.below).ok());
}

TEST_F(Split, SendsUpwardsToEachClientsServer) {
  ASSERT_TRUE(split_.above->send(0, encode_signal(FrameType::ready, 1, 2)).ok());
  ASSERT_TRUE(split_.above->send(0, encode_signal(FrameType::ready, 1, 12)).ok());
  ASSERT_TRUE(split_.below->send(9, encode_signal(FrameType::cancel, 1, 30)).ok());
  ASSERT_EQ(whole_.sent.size(), 3U);
  EXPECT_EQ(whole_.sent[0].from, 3);
  EXPECT_EQ(whole_.sent[1].from, 4);
  EXPECT_EQ(whole_.sent[2].from, 9);
}

TEST_F(Split, BothAreToldOfAFault) {
  whole_.inbox.push_back(Fault{FaultKind::disconnected, "gone", 3});
  for (Transport* half : {split_.above.get(), split_.below.get()}) {
    const auto gone = next(*half);
    ASSERT_FALSE(gone.ok());
    EXPECT_EQ(gone.fault().kind, FaultKind::disconnected);
    EXPECT_EQ(gone.fault().peer, 3);
    EXPECT_EQ(next(*half).fault().kind, FaultKind::timeout);
  }
}

}  // namespace
}  // namespace gossamer
