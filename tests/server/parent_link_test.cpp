// An aggregator between two transports that follow a script.
#include "server/parent_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comms/codec.h"
#include "coordinator_support.h"
#include "core/error.h"
#include "server/transport_driver.h"
#include "tests/comms/scripted_transport.h"

namespace gossamer {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr ClientId kSelf = 3;

// Aggregator 1 of two, above client 1 of two.
class Between : public ::testing::Test {
 protected:
  Between()
      : options_(
            server_options({{"topology.name", "tree"}, {"data.clients", "2"}, {"cohort.fraction", "1"}})),
        plan_(2, {2}),
        edge_(options_, plan_, plan_.aggregator(1), model_of({1, 2})) {}

  ParentLink link(std::chrono::duration<double> patience = 60s) {
    return {options_, above_, edge_, kSelf, patience};
  }
  Actions listen(ParentLink& link) { return link.listen(Transport::Clock::now(), 0); }
  void parent_says(Frame frame) { above_.inbox.push_back(Message{0, std::move(frame)}); }
  Frame model(Round round) { return encode_model(0, round, kSelf, 0, update_of(0, 0, {5, 6}).content); }

  Options options_;
  TreePlan plan_;
  EdgeAggregator edge_;
  ScriptedTransport above_, below_;
};

TEST_F(Between, RegistersUntilItIsWelcomeAndAnewWhereTheConnectionBreaks) {
  ParentLink parent = link();
  listen(parent);
  ASSERT_EQ(above_.count(FrameType::hello, 0), 1);
  const FrameHeader first = above_.sent.back().frame.header;
  EXPECT_EQ(first.client, kSelf);
  parent_says(encode_text(FrameType::welcome, 0, kSelf, ""));
  listen(parent);
  above_.inbox.push_back(Fault{FaultKind::disconnected, "gone", 0});
  listen(parent);
  while (above_.count(FrameType::hello, 0) < 2) listen(parent);
  EXPECT_NE(above_.sent.back().frame.header.sequence, first.sequence);
}

TEST_F(Between, TheEndOfTheRunIsItsEnd) {
  ParentLink parent = link();
  parent_says(encode_finish(0, kSelf, "rounds", true));
  const Actions actions = listen(parent);
  EXPECT_TRUE(std::get<Finish>(actions.at(0)).success);
  EXPECT_EQ(std::get<Finish>(actions.at(0)).reason, "rounds");
  parent.say_goodbye("rounds");
  EXPECT_EQ(above_.count(FrameType::leave, 0), 0) << "the parent knows";
}

TEST_F(Between, AFailedRunIsAFailureHere) {
  ParentLink parent = link();
  parent_says(encode_finish(0, kSelf, "1 of 2 aggregators are left", false));
  const Actions actions = listen(parent);
  EXPECT_FALSE(std::get<Finish>(actions.at(0)).success);
  EXPECT_EQ(std::get<Finish>(actions.at(0)).reason, "1 of 2 aggregators are left");
}

TEST_F(Between, ARefusalIsAConfigError) {
  ParentLink parent = link();
  parent_says(encode_text(FrameType::refuse, 0, kSelf, "another model"));
  EXPECT_THROW(listen(parent), ConfigError);
}

TEST_F(Between, AParentThatIsSilentIsGivenUp) {
  ParentLink parent = link(0s);
  Actions actions;
  while (actions.empty()) actions = listen(parent);
  EXPECT_FALSE(std::get<Finish>(actions.at(0)).success);
  EXPECT_THAT(std::get<Finish>(actions.at(0)).reason, HasSubstr("no word from the parent"));
}

TEST_F(Between, AModelThatCannotBeReadEndsIt) {
  ParentLink parent = link();
  parent_says(encode_model(0, 1, kSelf, 0, update_of(0, 0, {5, 6, 7}).content));
  EXPECT_FALSE(std::get<Finish>(listen(parent).at(0)).success);
}

TEST_F(Between, ADifferenceThatDoesNotFitIsAskedForAsAModel) {
  ParentLink parent = link();
  listen(parent);
  parent_says(encode_text(FrameType::welcome, 0, kSelf, ""));
  listen(parent);
  const FrameHeader first = above_.sent.back().frame.header;
  parent_says(encode_model(0, 1, kSelf, 77, update_of(0, 0, {5, 6}).content));
  EXPECT_TRUE(listen(parent).empty()) << "it goes on";
  EXPECT_EQ(above_.count(FrameType::leave, 0), 1);
  listen(parent);
  ASSERT_EQ(above_.count(FrameType::hello, 0), 2);
  EXPECT_NE(above_.sent.back().frame.header.sequence, first.sequence);
}

TEST_F(Between, CarriesAModelDownAndAnUpdateUp) {
  ParentLink parent = link();
  parent_says(encode_text(FrameType::welcome, 0, kSelf, ""));
  parent_says(model(1));
  const Hello hello{options_.digest(), edge_.model()->layout->fingerprint(), 0, kWireVersion};
  below_.inbox.push_back(Message{1, encode_hello(0, 0, hello, 7)});  // another aggregator's client
  below_.inbox.push_back(Message{2, encode_hello(0, 1, hello, 7)});
  below_.on_send = [&](const Frame& frame) {
    if (frame.header.type == FrameType::model)
      below_.inbox.push_back(Message{2, encode_update(0, update_of(1, frame.header.round, {1, -1}, 4))});
    if (frame.header.type == FrameType::finish)
      below_.inbox.push_back(Fault{FaultKind::disconnected, "gone", 2});
  };
  above_.on_send = [&](const Frame& frame) {
    if (frame.header.type == FrameType::update)
      parent_says(encode_text(FrameType::finish, 0, kSelf, "rounds"));
  };
  TransportDriver driver(options_, below_, {}, {60s, ""});
  EXPECT_EQ(driver.run(edge_, parent, [] { return false; }), "rounds");
  EXPECT_EQ(below_.count(FrameType::refuse, 1), 1);
  EXPECT_EQ(below_.count(FrameType::model, 2), 1);
  ASSERT_EQ(above_.count(FrameType::update, 0), 1);
  for (const Message& message : above_.sent) {
    if (message.frame.header.type != FrameType::update) continue;
    const auto update = decode_update(message.frame);
    ASSERT_TRUE(update.ok());
    EXPECT_EQ(update.value().info.client, kSelf);
    EXPECT_EQ(update.value().info.weight, 4);
    EXPECT_EQ(*update.value().info.subtree, (SubtreeReport{1, 0, 0, 104, 104}));
  }
}

TEST_F(Between, TellsItsParentWhenItStops) {
  ParentLink parent = link();
  TransportDriver driver(options_, below_, {}, {0s, ""});
  EXPECT_EQ(driver.run(edge_, parent, [] { return true; }), "signal");
  EXPECT_EQ(above_.count(FrameType::leave, 0), 1);
}

}  // namespace
}  // namespace gossamer
