#include "comms/latency_transport.h"

#include <gmock/gmock.h>

#include <optional>

#include "comms/codec.h"
#include "tests/comms/scripted_transport.h"

namespace gossamer {
namespace {

using namespace std::chrono_literals;
using Clock = Transport::Clock;

class LatencyTransport : public testing::Test {
 protected:
  // From a rank, of a round, that arrived so long ago.
  static Message message(Rank from, Round round, Clock::duration ago) {
    return {from, encode_signal(FrameType::heartbeat, 1, 0, round), Clock::now() - ago};
  }
  // The round of the next frame, where one is due.
  std::optional<Round> next() {
    const auto message = far_->receive(Clock::now());
    if (message) return message.value().frame.header.round;
    return std::nullopt;
  }

  std::unique_ptr<ScriptedTransport> made_ = std::make_unique<ScriptedTransport>();
  ScriptedTransport& near_ = *made_;
  std::unique_ptr<Transport> far_ = make_latency_transport(std::move(made_), 1h);
};

TEST_F(LatencyTransport, HandsOnWhatArrivedALatencyAgo) {
  near_.inbox = {message(1, 7, 61min), message(2, 8, 60min), message(1, 9, 59min)};
  EXPECT_EQ(next(), 7);
  EXPECT_EQ(next(), 8);
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_TRUE(near_.inbox.empty()) << "what is not due has been taken in";
}

TEST_F(LatencyTransport, WaitsForWhicheverComesFirst) {
  near_.inbox = {message(1, 7, 59min)};
  const Clock::time_point now = Clock::now();
  EXPECT_FALSE(far_->receive(now).ok());
  // The frame is due in a minute: the caller's deadline is earlier.
  EXPECT_EQ(near_.asked.back(), now);

  // Twenty milliseconds before the latency is over.
  auto made = std::make_unique<ScriptedTransport>();
  ScriptedTransport& near = *made;
  const auto far = make_latency_transport(std::move(made), 1h);
  near.inbox = {message(1, 9, 1h - 20ms)};
  const Clock::time_point due = near.inbox.front().value().arrived + 1h;
  const auto message = far->receive(due + 1h);
  ASSERT_TRUE(message.ok());
  EXPECT_GE(Clock::now(), due);
  EXPECT_EQ(near.asked.back(), due);
}

// A frame with an older stamp behind a younger one stays behind it.
TEST_F(LatencyTransport, KeepsTheOrder) {
  near_.inbox = {message(1, 7, 59min), message(1, 8, 2h)};
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_EQ(next(), std::nullopt);
}

TEST_F(LatencyTransport, FaultsTravelLikeFrames) {
  near_.inbox = {message(1, 7, 2h), Fault{FaultKind::disconnected, "gone", 1}};
  EXPECT_EQ(next(), 7);
  const auto fault = far_->receive(Clock::now());
  ASSERT_FALSE(fault.ok());
  EXPECT_EQ(fault.fault().kind, FaultKind::timeout) << "the news takes an hour";

  auto made = std::make_unique<ScriptedTransport>();
  made->inbox = {Fault{FaultKind::disconnected, "gone", 1}};
  const auto near = make_latency_transport(std::move(made), 0s);
  const auto gone = near->receive(Clock::now());
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.fault().kind, FaultKind::disconnected);
  EXPECT_EQ(gone.fault().peer, 1);
}

TEST_F(LatencyTransport, NothingIsFarFromItself) {
  near_.inbox = {message(1, 7, 0s), message(0, 8, 0s)};
  EXPECT_EQ(next(), 8);
  EXPECT_EQ(next(), std::nullopt);
}

TEST_F(LatencyTransport, SendsAtOnceAndCountsEveryByteOnce) {
  ASSERT_TRUE(far_->send(3, encode_signal(FrameType::heartbeat, 1, 0)).ok());
  EXPECT_EQ(near_.count(FrameType::heartbeat, 3), 1);
  near_.send_heartbeat();
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_EQ(far_->traffic().control_bytes, 2 * kFrameHeaderBytes);
  EXPECT_EQ(far_->traffic().model_bytes, 0U);
  EXPECT_EQ(far_->self(), 0);
}

}  // namespace
}  // namespace gossamer
