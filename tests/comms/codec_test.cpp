#include "comms/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "core/shard_plan.h"
#include "tests/comms/travel.h"

namespace gossamer {
namespace {

SharedBytes some_bytes(std::size_t size) {
  ByteBuffer buffer(size);
  for (std::size_t i = 0; i < size; ++i) buffer[i] = static_cast<std::byte>(i * 7 + 1);
  return SharedBytes::of(std::move(buffer));
}

// Over the wire and back.
TEST(Codec, HelloRoundTrips) {
  const Hello hello{0xFEDCBA9876543210, 77, 612.5, 3};
  const Frame frame = travel(encode_hello(5, 12, hello));
  EXPECT_EQ(frame.header.run_id, 5U);
  EXPECT_EQ(frame.header.client, 12);
  EXPECT_EQ(frame.payload.size(), kHelloBytes);
  const auto decoded = decode_hello(frame);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded.value(), hello);
}

TEST(Codec, HelloOfAnotherSizeOrWithoutAnExampleCountIsRefused) {
  FrameHeader header;
  header.type = FrameType::hello;
  for (const std::size_t size : {std::size_t{0}, kHelloBytes - 1, kHelloBytes + 1}) {
    EXPECT_FALSE(decode_hello(make_frame(header, some_bytes(size))).ok()) << size;
  }
  for (const double examples : {std::nan(""), -1.0, std::numeric_limits<double>::infinity()}) {
    EXPECT_FALSE(decode_hello(encode_hello(1, 1, Hello{1, 2, examples, 1})).ok()) << examples;
  }
}

TEST(Codec, UpdateRoundTrips) {
  UpdateInfo info;
  info.client = 3;
  info.round = 8;
  info.sequence = 21;
  info.weight = 60;
  info.train_loss = 0.75;
  info.samples = 300;
  const SharedBytes payload = some_bytes(41);
  const auto decoded = decode_update(travel(encode_update(99, {info, {10, payload}})));
  ASSERT_TRUE(decoded.ok());
  const CompressedUpdate& update = decoded.value();
  EXPECT_EQ(update.info.client, info.client);
  EXPECT_EQ(update.info.round, info.round);
  EXPECT_EQ(update.info.sequence, info.sequence);
  EXPECT_EQ(update.info.weight, info.weight);
  EXPECT_EQ(update.info.train_loss, info.train_loss);
  EXPECT_EQ(update.info.samples, info.samples);
  EXPECT_EQ(update.content.elements, 10U);
  EXPECT_EQ(update.content.payload.bytes.data(), payload.bytes.data());
  EXPECT_EQ(update.content.payload.owner, payload.owner);
}

TEST(Codec, AReportTravelsBehindTheContent) {
  TauReport report;
  report.loss = -0.5;
  report.rho = 1;
  report.beta = 2;
  report.step_s = 0.25;
  report.gradient[127] = -3;
  CompressedUpdate update{{1, 2, 3, 4, 5, 6}, {10, some_bytes(41)}};
  update.info.tau = std::make_shared<const TauReport>(report);
  const Frame frame = encode_update(99, update);
  EXPECT_EQ(frame.wire_bytes(), kFrameHeaderBytes + 41 + 132 * 8);
  EXPECT_EQ(frame.header.metadata, 132);
  const auto decoded = decode_update(travel(frame));
  ASSERT_TRUE(decoded.ok());
  ASSERT_NE(decoded.value().info.tau, nullptr);
  EXPECT_EQ(*decoded.value().info.tau, report);
  EXPECT_EQ(decoded.value().content.payload.size(), 41U);

  for (double TauReport::*field : {&TauReport::loss, &TauReport::rho, &TauReport::beta, &TauReport::step_s}) {
    TauReport bad = report;
    bad.*field = std::nan("");
    update.info.tau = std::make_shared<const TauReport>(bad);
    EXPECT_FALSE(decode_update(encode_update(99, update)).ok());
  }
  Frame odd = frame;
  odd.header.metadata = 131;
  EXPECT_FALSE(decode_update(odd).ok());
  FrameHeader header = frame.header;
  header.payload_bytes = 132 * 8 - 1;
  EXPECT_FALSE(decode_header(encode_header(header), 10'000).ok()) << "longer than the payload";
  header = frame.header;
  header.type = FrameType::finish;
  EXPECT_FALSE(decode_header(encode_header(header), 10'000).ok()) << "only updates and models have metadata";
  header.type = FrameType::model;
  header.metadata = kMostShards - 1;
  EXPECT_TRUE(decode_header(encode_header(header), 10'000).ok());
  header.metadata = kMostShards;
  EXPECT_FALSE(decode_header(encode_header(header), 10'000).ok()) << "there are not so many shards";
}

TEST(Codec, AnAggregatorsReportTravelsToo) {
  const SubtreeReport report{4, 1, 2, 1e12, 3};
  CompressedUpdate update{{1, 2, 3, 4, 5, 6}, {10, some_bytes(41)}};
  update.info.subtree = std::make_shared<const SubtreeReport>(report);
  const Frame frame = encode_update(99, update);
  EXPECT_EQ(frame.wire_bytes(), kFrameHeaderBytes + 41 + 40);
  const auto decoded = decode_update(travel(frame));
  ASSERT_TRUE(decoded.ok());
  ASSERT_NE(decoded.value().info.subtree, nullptr);
  EXPECT_EQ(*decoded.value().info.subtree, report);
  EXPECT_EQ(decoded.value().info.tau, nullptr);
  EXPECT_EQ(decoded.value().content.payload.size(), 41U);
  for (const double bad : {-1.0, 0.5, 1e300, static_cast<double>(NAN)}) {
    update.info.subtree = std::make_shared<const SubtreeReport>(SubtreeReport{4, bad, 0, 0, 0});
    EXPECT_FALSE(decode_update(encode_update(99, update)).ok()) << bad;
  }
}

TEST(Codec, WhetherAnUpdateWasClippedTravelsToo) {
  CompressedUpdate update{{}, {10, some_bytes(41)}, {}};
  for (const double within : {0.0, 1.0}) {
    update.info.clip = std::make_shared<const ClipReport>(ClipReport{within});
    const auto decoded = decode_update(travel(encode_update(99, update)));
    ASSERT_TRUE(decoded.ok());
    ASSERT_NE(decoded.value().info.clip, nullptr);
    EXPECT_EQ(decoded.value().info.clip->within, within);
    EXPECT_EQ(decoded.value().content.payload.size(), 41U);
  }
  for (const double bad : {-1.0, 0.5, 2.0, static_cast<double>(NAN)}) {
    update.info.clip = std::make_shared<const ClipReport>(ClipReport{bad});
    EXPECT_FALSE(decode_update(encode_update(99, update)).ok()) << bad;
  }
}

TEST(Codec, TheTermsOfTheWorkTravelInTheHeader) {
  const WorkTerms terms{.steps = 7, .method = 3, .clip_norm = 0.25};
  const Frame frame = travel(encode_model(4, 2, 0, 0, {250, some_bytes(1000)}, terms));
  EXPECT_EQ(terms_of(frame.header, 4), terms);
  EXPECT_EQ(terms_of(frame.header, 3), std::nullopt);
  for (const auto& [method, norm] : {std::pair{0.5, 1.0}, std::pair{-1.0, 1.0}, std::pair{1.0, -1e-9}}) {
    FrameHeader bad = frame.header;
    bad.weight = method;
    bad.train_loss = norm;
    EXPECT_EQ(terms_of(bad, 4), std::nullopt) << method << ' ' << norm;
  }
}

TEST(Codec, OneModelGoesToManyClients) {
  const SharedBytes payload = some_bytes(1000);
  const Frame first = encode_model(4, 2, 0, 77, {250, payload});
  for (ClientId client = 0; client < 3; ++client) {
    const Frame frame = readdress(first, client);
    EXPECT_EQ(frame.payload.bytes.data(), payload.bytes.data());
    const Frame arrived = travel(frame);
    EXPECT_EQ(arrived.header.client, client);
    EXPECT_EQ(base_of(arrived.header), 77U);
    EXPECT_EQ(arrived.header.round, 2);
    const auto model = decode_model(arrived);
    ASSERT_TRUE(model.ok());
    EXPECT_EQ(model.value().elements, 250U);
  }
}

TEST(Codec, TextIsBoundedAndPrintable) {
  const Frame frame = travel(encode_text(FrameType::refuse, 1, 2, "no: \x1b[31mred\n\x07\xc2\x9b\x7f"));
  const auto text = decode_text(frame);
  ASSERT_TRUE(text.ok());
  EXPECT_EQ(text.value(), "no: ?[31mred?????");

  const auto decoded = [](std::string_view t) {
    return decode_text(encode_text(FrameType::welcome, 1, 2, t)).value();
  };
  EXPECT_EQ(decoded("/büro/日本/😀"), "/büro/日本/😀");
  EXPECT_EQ(decoded("\xe2\x80\xae"), "???");            // turns the rest of a line around
  EXPECT_EQ(decoded("\xc0\xaf\xed\xa0\x80"), "?????");  // overlong, surrogate
  EXPECT_EQ(decoded("a\xe6\x97"), "a??");               // cut off

  const std::string longest(kMaxTextBytes, 'a');
  EXPECT_EQ(decode_text(encode_text(FrameType::finish, 1, 2, longest + "bcd")).value(), longest);
  EXPECT_EQ(decode_text(encode_finish(1, 2, "done", true)).value(), "done");
  EXPECT_FALSE(is_failure(encode_finish(1, 2, "done", true)));
  EXPECT_TRUE(is_failure(encode_finish(1, 2, "nobody is left", false)));
  EXPECT_EQ(decode_text(encode_text(FrameType::leave, 1, 2, "")).value(), "");

  FrameHeader header;
  header.type = FrameType::leave;
  EXPECT_FALSE(decode_text(make_frame(header, some_bytes(kMaxTextBytes + 1))).ok());
}

TEST(Codec, AFrameOfAnotherTypeIsMalformed) {
  const Frame signal = encode_signal(FrameType::heartbeat, 1, 2, 3, 4);
  EXPECT_EQ(signal.header.round, 3);
  EXPECT_EQ(signal.header.sequence, 4U);
  EXPECT_EQ(signal.wire_bytes(), kFrameHeaderBytes);
  EXPECT_EQ(decode_hello(signal).fault().kind, FaultKind::malformed);
  EXPECT_EQ(decode_model(signal).fault().kind, FaultKind::malformed);
  EXPECT_EQ(decode_update(signal).fault().kind, FaultKind::malformed);
  EXPECT_EQ(decode_text(signal).fault().kind, FaultKind::malformed);
}

TEST(Codec, MisuseIsAFaultOfTheProgram) {
  EXPECT_THROW((void)encode_text(FrameType::heartbeat, 1, 2, "x"), std::logic_error);
  EXPECT_THROW((void)encode_signal(FrameType::welcome, 1, 2), std::logic_error);
}

}  // namespace
}  // namespace gossamer
