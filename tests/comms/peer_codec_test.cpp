#include "comms/peer_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "comms/codec.h"
#include "tests/comms/travel.h"

namespace gossamer {
namespace {

SharedFloats floats(std::initializer_list<float> values) {
  return SharedFloats::of(FloatBuffer(values.begin(), values.end()));
}

Frame with_payload(const Frame& frame, std::string_view bytes) {
  ByteBuffer payload(bytes.size());
  if (!bytes.empty()) std::memcpy(payload.data(), bytes.data(), bytes.size());
  return make_frame(frame.header, SharedBytes::of(std::move(payload)));
}

TEST(PeerCodec, ReportsRoundTrip) {
  PeerReport report;
  report.info.client = 3;
  report.info.round = 7;
  report.info.weight = 600;
  report.info.train_loss = 0.25;
  report.info.samples = 3000;
  report.bytes_sent = 1ULL << 40U;
  report.bytes_received = 17;
  const auto decoded = decode_report(travel(encode_report(9, report)));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded.value().info.client, 3);
  EXPECT_EQ(decoded.value().info.round, 7);
  EXPECT_EQ(decoded.value().info.weight, 600);
  EXPECT_EQ(decoded.value().info.train_loss, 0.25);
  EXPECT_EQ(decoded.value().info.samples, 3000);
  EXPECT_EQ(decoded.value().bytes_sent, 1ULL << 40U);
  EXPECT_EQ(decoded.value().bytes_received, 17U);
  EXPECT_FALSE(decode_report(with_payload(encode_report(9, report), "x")).ok());
  EXPECT_FALSE(decode_report(encode_signal(FrameType::grant, 9, 3)).ok());
}

TEST(PeerCodec, StatesAreExactAndCheckedForTheirLength) {
  const Frame frame = travel(encode_state(9, 2, 5, floats({1, -2, 3e-40F})));
  EXPECT_EQ(frame.header.client, 2);
  EXPECT_EQ(frame.header.round, 5);
  FloatBuffer values(3);
  ASSERT_TRUE(read_floats(frame, values).ok());
  EXPECT_EQ(values, FloatBuffer({1, -2, 3e-40F}));
  FloatBuffer shorter(2), longer(4);
  EXPECT_FALSE(read_floats(frame, shorter).ok());
  EXPECT_FALSE(read_floats(frame, longer).ok());
  EXPECT_FALSE(read_floats(with_payload(frame, "12345678"), values).ok());
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()})
    EXPECT_FALSE(read_floats(encode_state(9, 2, 5, floats({1, bad, 3})), values).ok());
}

TEST(PeerCodec, SharesSayFromWhomAndForWhom) {
  const SharedFloats model = floats({1, 2});
  for (const FrameType type : {FrameType::share, FrameType::difference}) {
    const PeerShare share{4, 6, 11, 0.125, {2, {model.owner, std::as_bytes(model.values)}}};
    const Frame frame = travel(encode_share(9, type, share));
    EXPECT_EQ(frame.wire_bytes(), kFrameHeaderBytes + 8);
    const auto decoded = decode_share(frame);
    ASSERT_TRUE(decoded.ok());
    EXPECT_EQ(decoded.value().from, 4);
    EXPECT_EQ(decoded.value().to, 6);
    EXPECT_EQ(decoded.value().round, 11);
    EXPECT_EQ(decoded.value().weight, 0.125);
    EXPECT_EQ(decoded.value().content.elements, 2U);
    EXPECT_EQ(decoded.value().content.payload.bytes.data(),
              reinterpret_cast<const std::byte*>(model.values.data()));
  }
  FrameHeader header;
  header.type = FrameType::share;
  header.sequence = UINT64_MAX;
  EXPECT_FALSE(decode_share(make_frame(header, {})).ok());
  EXPECT_FALSE(decode_share(encode_signal(FrameType::show, 9, 3)).ok());
  EXPECT_THROW((void)encode_share(9, FrameType::model, {}), std::logic_error);
}

TEST(PeerCodec, RostersRoundTrip) {
  const std::vector<std::string> addresses{"tcp://127.0.0.1:4242", "", std::string(kMaxAddressBytes, 'a')};
  const auto decoded = decode_roster(travel(encode_roster(9, 1, addresses)));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded.value(), addresses);
  EXPECT_TRUE(decode_roster(encode_roster(9, 1, {})).value().empty());
}

TEST(PeerCodec, RostersAreCheckedBeforeAnythingIsAllocated) {
  const std::vector<std::string> one{"tcp://a:1"};
  const Frame frame = encode_roster(9, 1, one);
  const std::string bytes(reinterpret_cast<const char*>(frame.payload.bytes.data()), frame.payload.size());
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(decode_roster(with_payload(frame, bytes.substr(0, length))).ok()) << length;
  EXPECT_FALSE(decode_roster(with_payload(frame, bytes + "x")).ok());
  EXPECT_FALSE(decode_roster(with_payload(frame, std::string("\xff\xff\xff\xff", 4))).ok());
  EXPECT_FALSE(decode_roster(with_payload(frame, std::string("\x01\0\0\0\x01\0\n", 7))).ok());
  const std::string longest = std::string("\x01\0\0\0\x01\x01", 6) + std::string(257, 'a');
  EXPECT_FALSE(decode_roster(with_payload(frame, longest)).ok());
  EXPECT_FALSE(decode_roster(encode_signal(FrameType::lost, 9, 3)).ok());
}

}  // namespace
}  // namespace gossamer
