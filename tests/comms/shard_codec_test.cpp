// What shards say to one another, and parcels: a frame for each of them.
#include "comms/shard_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "comms/codec.h"
#include "comms/parcel.h"

namespace gossamer {
namespace {

using OrderKind = ShardOrder::Kind;

Compressed three_floats(float first) {
  const SharedFloats floats = SharedFloats::of(FloatBuffer{first, 0.5F, -1});
  return {floats.size(), {floats.owner, std::as_bytes(floats.values)}};
}

Frame with_payload(Frame frame, std::size_t bytes) {
  ByteBuffer shorter(frame.payload.bytes.begin(), frame.payload.bytes.end());
  shorter.resize(bytes);
  return make_frame(frame.header, SharedBytes::of(std::move(shorter)));
}

TEST(ShardCodec, OrdersComeBack) {
  std::vector<ShardOrder> orders;
  for (int kind = 1; kind <= static_cast<int>(ShardOrder::kLast); ++kind)
    orders.push_back({static_cast<OrderKind>(kind), kind * 7, kind * 1000, 0.5 * kind});
  const Frame frame = encode_orders(3, orders);
  EXPECT_EQ(frame.payload.size(), orders.size() * kShardOrderBytes);
  EXPECT_EQ(decode_orders(pass_through(frame).value()).value(), orders);
  EXPECT_TRUE(decode_orders(encode_orders(3, {})).value().empty());
}

TEST(ShardCodec, RefusesWhatIsNoOrder) {
  const Frame good = encode_orders(3, std::vector<ShardOrder>{{OrderKind::serve, 1, 2, 3}});
  EXPECT_TRUE(decode_orders(good).ok());
  EXPECT_FALSE(decode_orders(with_payload(good, kShardOrderBytes - 1)).ok());
  EXPECT_FALSE(decode_orders(with_payload(good, (kOrdersPerFrame + 1) * kShardOrderBytes)).ok());
  const auto changed = [&](std::size_t at, auto value) {
    ByteBuffer bytes(good.payload.bytes.begin(), good.payload.bytes.end());
    std::memcpy(bytes.data() + at, &value, sizeof value);
    return decode_orders(make_frame(good.header, SharedBytes::of(std::move(bytes)))).ok();
  };
  EXPECT_TRUE(changed(0, std::uint8_t{1}));
  EXPECT_FALSE(changed(0, std::uint8_t{0}));
  EXPECT_FALSE(changed(0, static_cast<std::uint8_t>(static_cast<int>(ShardOrder::kLast) + 1)));
  EXPECT_FALSE(changed(1, ClientId{-1}));
  EXPECT_FALSE(changed(9, Round{-1}));
  EXPECT_FALSE(changed(17, std::numeric_limits<double>::quiet_NaN()));
  Frame other = good;
  other.header.type = FrameType::update;
  EXPECT_FALSE(decode_orders(other).ok());
}

TEST(ShardCodec, SectionsComeBackWhateverTheyHold) {
  const FloatBuffer values{1, -0.0F, std::numeric_limits<float>::infinity()};
  const Frame frame = encode_section(3, {ShardSection::Kind::moment, 7, values});
  const auto section = decode_section(pass_through(frame).value());
  ASSERT_TRUE(section.ok());
  EXPECT_EQ(section.value().kind, ShardSection::Kind::moment);
  EXPECT_EQ(section.value().number, 7U);
  EXPECT_EQ(std::memcmp(section.value().values.data(), values.data(), sizeof(float) * 3), 0);
  EXPECT_TRUE(decode_section(encode_section(3, {})).value().values.empty());

  EXPECT_FALSE(decode_section(with_payload(frame, 11)).ok());
  EXPECT_FALSE(decode_section(with_payload(frame, 8)).ok());  // two floats where it says three
  for (const std::int64_t kind : {std::int64_t{0}, static_cast<std::int64_t>(ShardSection::kLast) + 1}) {
    Frame other = frame;
    other.header.samples = kind;
    EXPECT_FALSE(decode_section(other).ok());
  }
}

TEST(ShardCodec, NoticesComeBack) {
  for (const bool well : {true, false}) {
    const auto notice = decode_part(pass_through(encode_part(3, {4, 5, well, 600, 700, 8})).value());
    ASSERT_TRUE(notice.ok());
    EXPECT_EQ(notice.value().client, 4);
    EXPECT_EQ(notice.value().round, 5);
    EXPECT_EQ(notice.value().well, well);
    EXPECT_EQ(notice.value().bytes_down, 600U);
    EXPECT_EQ(notice.value().bytes_up, 700U);
    EXPECT_EQ(notice.value().serving, 8);
  }
  Frame other = encode_part(3, {});
  other.header.samples = 2;
  EXPECT_FALSE(decode_part(other).ok());
  EXPECT_FALSE(decode_part(with_payload(encode_part(3, {}), 1)).ok());
}

TEST(Parcels, SayWhoseRangeEachFrameIs) {
  const std::vector<Compressed> more{three_floats(2), three_floats(3)};
  const Parcel models = readdress(ModelEncoder(9).encode(5, 0, three_floats(1), more, {.steps = 6}), 4);
  ASSERT_EQ(models.frames(), 3U);
  EXPECT_EQ(models.wire_bytes(), 3 * (kFrameHeaderBytes + 12));
  const auto received = pass_through(models);
  ASSERT_TRUE(received.ok());
  for (std::size_t s = 0; s < 3; ++s) {
    const FrameHeader& header = received.value()[s].header;
    EXPECT_EQ(header.metadata, s);
    EXPECT_EQ(header.client, 4);
    EXPECT_EQ(header.round, 5);
    EXPECT_EQ(header.samples, 6);
  }
}

TEST(Parcels, OfADifferenceSayWhatEachRangeIsADifferenceTo) {
  const std::vector<Compressed> more{three_floats(2), three_floats(3)};
  const std::vector<std::uint64_t> bases{7, 8, 9};
  ModelEncoder encoder(9);
  const auto received = pass_through(encoder.encode(5, 0, three_floats(1), more, {.steps = 6}, bases));
  ASSERT_TRUE(received.ok());
  for (std::size_t s = 0; s < 3; ++s) EXPECT_EQ(base_of(received.value()[s].header), bases[s]);
  const Compressed one = three_floats(4);
  EXPECT_EQ(base_of(encoder.encode(6, 0, one, {}, {.steps = 6}, bases).header()), 7U);
  EXPECT_EQ(base_of(encoder.encode(6, 1, one, {}, {.steps = 6}).header()), 0U)
      << "the same bytes as a whole model";
}

TEST(Parcels, AModelThatIsSentAgainIsTheSameAsOneThatIsEncodedAnew) {
  ModelEncoder encoder(9);
  const Compressed one = three_floats(1);
  const std::vector<Compressed> more{three_floats(2)};
  Round round = 0;
  for (const Compressed& model : {one, one, three_floats(4), one}) {
    for (const bool divided : {false, false, true, false}) {
      ++round;
      const Parcel& parcel = encoder.encode(
          round, 3, model, divided ? std::span(more) : std::span<const Compressed>{}, {.steps = 6});
      EXPECT_EQ(parcel.frames(), divided ? 2U : 1U);
      EXPECT_EQ(parcel.header(), encode_model(9, round, 3, 0, model, {.steps = 6}).header);
      ASSERT_TRUE(pass_through(parcel).ok());
    }
  }
}

TEST(Parcels, AnUpdatesReportTravelsOnce) {
  CompressedUpdate update{{}, three_floats(1), {three_floats(2)}};
  update.info.client = 4;
  update.info.round = 5;
  update.info.weight = 6;
  update.info.tau = std::make_shared<TauReport>();
  const Parcel parcel = encode_update_parcel(9, update);
  EXPECT_EQ(parcel.wire_bytes(), 2 * (kFrameHeaderBytes + 12) + sizeof(TauReport));
  const auto decoded = decode_update(pass_through(parcel).value());
  ASSERT_TRUE(decoded.ok());
  EXPECT_NE(decoded.value().info.tau, nullptr);
  EXPECT_EQ(decoded.value().info.weight, 6);
  ASSERT_EQ(decoded.value().more.size(), 1U);
  EXPECT_EQ(decoded.value().more[0].elements, 3U);
  Parcel broken = parcel;
  broken.more[0].header.payload_checksum += 1;
  EXPECT_FALSE(pass_through(broken).ok());
}

Frame range(ClientId client, Round round, float first) {
  return encode_model(9, round, client, 0, three_floats(first));
}

float first_float(const Frame& frame) {
  float value = 0;
  std::memcpy(&value, frame.payload.bytes.data(), sizeof value);
  return value;
}

TEST(ParcelAssembly, IsWholeWithTheLastFrameInAnyOrder) {
  ParcelAssembly assembly(3);
  EXPECT_FALSE(assembly.add(2, range(0, 1, 12)));
  EXPECT_FALSE(assembly.add(0, range(1, 1, 20)));
  EXPECT_FALSE(assembly.add(0, range(0, 1, 10)));
  EXPECT_FALSE(assembly.add(0, range(0, 1, 11)));  // again: in place of the first
  const auto parcel = assembly.add(1, range(0, 1, 13));
  ASSERT_TRUE(parcel);
  EXPECT_EQ(first_float((*parcel)[0]), 11);
  EXPECT_EQ(first_float((*parcel)[1]), 13);
  EXPECT_EQ(first_float((*parcel)[2]), 12);
  EXPECT_TRUE(ParcelAssembly(1).add(0, range(0, 1, 1)));
}

// Work that was called off leaves frames behind, some of which come after those of the next round.
TEST(ParcelAssembly, ANewerRoundTakesThePlaceOfAnOlderOne) {
  ParcelAssembly assembly(2);
  EXPECT_FALSE(assembly.add(0, range(0, 5, 1)));
  EXPECT_FALSE(assembly.add(0, range(0, 6, 2)));
  EXPECT_FALSE(assembly.add(1, range(0, 5, 3)));
  EXPECT_TRUE(assembly.add(1, range(0, 6, 4)));
  EXPECT_FALSE(assembly.add(0, range(0, 7, 5)));
  assembly.drop(0, 6);  // not this one
  assembly.drop(0, 7);
  EXPECT_FALSE(assembly.add(1, range(0, 7, 6)));
  EXPECT_FALSE(assembly.add(0, range(1, 9, 6)));
  assembly.clear();  // a server that starts anew counts from an earlier round
  EXPECT_FALSE(assembly.add(0, range(1, 2, 7)));
  EXPECT_TRUE(assembly.add(1, range(1, 2, 8)));
}

}  // namespace
}  // namespace gossamer
