// The driver over a transport that follows a script: who is admitted, and how a run ends.
#include "server/transport_driver.h"

#include <gtest/gtest.h>

#include <sstream>

#include "comms/codec.h"
#include "coordinator_support.h"
#include "tests/comms/scripted_transport.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

using namespace std::chrono_literals;

class Driven : public ::testing::Test {
 protected:
  Driven() : initial_(model_of({1, 2})) {}

  void configure(std::map<std::string, std::string> keys) {
    keys.emplace("run.out", (folder_.path() / "run").string());
    keys.emplace("cohort.fraction", "1");
    keys.emplace("run.rounds", "1");
    keys.emplace("server.checkpoint_every", "0");
    options_ = std::make_unique<Options>(server_options(keys));
  }
  void hello(Rank from, ClientId client, std::uint64_t attempt) {
    const Hello hello{options_->digest(), initial_->layout->fingerprint(), 0, kWireVersion};
    transport_.inbox.push_back(Message{from, encode_hello(0, client, hello, attempt)});
  }
  void update(Rank from, ClientId client, Round round) {
    transport_.inbox.push_back(Message{from, encode_update(0, update_of(client, round, {1, 1}))});
  }
  void gone(Rank rank) { transport_.inbox.push_back(Fault{FaultKind::disconnected, "gone", rank}); }
  std::string run(std::optional<std::chrono::duration<double>> farewell = 60s) {
    std::ostringstream out;
    ProgressPrinter progress(out, ProgressStyle::quiet, 1);
    RunKeeper keeper(*options_, RunFolder::create(*options_), "wall", progress);
    const auto coordinator = make_coordinator(*options_, initial_);
    keeper.resume(*coordinator);
    RunServices services;
    services.evaluate = [](const Parameters&) { return Evaluation{}; };
    keeper.set_services(std::move(services));
    TransportDriver driver(*options_, transport_, {}, {farewell, ""});
    return driver.run(*coordinator, keeper, [] { return false; });
  }

  TemporaryFolder folder_;
  std::shared_ptr<const Parameters> initial_;
  std::unique_ptr<Options> options_;
  ScriptedTransport transport_;
};

TEST_F(Driven, ReadsOnUntilEverybodyHasGone) {
  configure({{"data.clients", "2"}});
  hello(1, 0, 7);
  hello(2, 1, 8);
  update(1, 0, 1);
  update(2, 1, 1);  // ends the run
  update(1, 0, 1);  // what was still under way
  gone(1);
  hello(3, 0, 9);  // back again: it has not heard
  gone(3);
  gone(2);
  update(4, 0, 1);  // by now nobody is left who should be listened to
  EXPECT_EQ(run(), "rounds");
  EXPECT_EQ(transport_.inbox.size(), 1U);
  for (const Rank rank : {1, 2, 3}) EXPECT_EQ(transport_.count(FrameType::finish, rank), 1) << rank;
}

TEST_F(Driven, AFailedRunIsOneForThoseWhoAreLeft) {
  configure({{"data.clients", "2"}, {"cohort.min_size", "2"}, {"run.rounds", "2"}});
  hello(1, 0, 7);
  hello(2, 1, 8);
  gone(1);
  update(2, 1, 1);
  gone(2);
  EXPECT_THROW(run(), RunError);
  ASSERT_EQ(transport_.count(FrameType::finish, 2), 1);
  for (const Message& message : transport_.sent) {
    if (message.frame.header.type == FrameType::finish) {
      EXPECT_TRUE(is_failure(message.frame));
    }
  }
}

TEST_F(Driven, LeavesTheInboxAloneWhereSomebodyElseWatches) {
  configure({{"data.clients", "1"}});
  hello(1, 0, 7);
  update(1, 0, 1);
  update(1, 0, 1);
  EXPECT_EQ(run(std::nullopt), "rounds");
  EXPECT_EQ(transport_.inbox.size(), 1U);
}

TEST_F(Driven, ARepeatedHelloOfOneAttemptCountsOnce) {
  configure({{"data.clients", "1"}, {"sync.mode", "async"}, {"server.weighting", "uniform"}});
  for (int i = 0; i < 4; ++i) hello(1, 0, 7);
  hello(1, 0, 8);  // it has started again, and lost its work
  update(1, 0, 1);
  gone(1);
  EXPECT_EQ(run(), "rounds");
  EXPECT_EQ(transport_.count(FrameType::welcome, 1), 5);
  EXPECT_EQ(transport_.count(FrameType::model, 1), 2);
}

TEST_F(Driven, ANumberIsGivenOnceAnAttempt) {
  configure({{"data.clients", "2"}});
  hello(1, kUnassignedClient, 7);
  hello(1, kUnassignedClient, 7);
  hello(2, kUnassignedClient, 9);
  update(1, 0, 1);
  update(2, 1, 1);
  gone(1);
  gone(2);
  EXPECT_EQ(run(), "rounds");
  EXPECT_EQ(transport_.count(FrameType::model, 1), 1);
  EXPECT_EQ(transport_.count(FrameType::model, 2), 1);
}

TEST_F(Driven, DropsWhatNoClientSays) {
  configure({{"data.clients", "1"}});
  hello(1, 0, 7);
  transport_.inbox.push_back(Message{1, encode_text(FrameType::finish, 0, 0, "the client says so")});
  update(1, 0, 1);
  gone(1);
  EXPECT_EQ(run(), "rounds");
}

}  // namespace
}  // namespace gossamer
