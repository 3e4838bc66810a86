#include "comms/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <limits>
#include <set>
#include <sstream>
#include <string>

#include "core/rng.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

SharedBytes bytes_of(std::string_view text) {
  ByteBuffer buffer(text.size());
  if (!text.empty()) std::memcpy(buffer.data(), text.data(), text.size());
  return SharedBytes::of(std::move(buffer));
}

FrameHeader example_header() {
  FrameHeader header;
  header.type = FrameType::update;
  header.run_id = 0x0123456789ABCDEF;
  header.round = 7;
  header.client = 42;
  header.sequence = 9;
  header.weight = 600;
  header.train_loss = 0.25;
  header.samples = 3000;
  header.elements = 1;
  return header;
}

// The example of docs/wire_format.md: the update 1.0F of client 42.
Frame example_frame() {
  const float value = 1.0F;
  return make_frame(example_header(), bytes_of({reinterpret_cast<const char*>(&value), sizeof(value)}));
}

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) text += i % 16 == 0 ? '\n' : ' ';
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", std::to_integer<unsigned>(bytes[i]));
    text += digits;
  }
  return text;
}

TEST(Frame, TheBytesAreTheDocumentedOnes) {
  const Frame frame = example_frame();
  const std::string header = hex(encode_header(frame.header));
  EXPECT_EQ(header,
            "47 4f 53 4d 01 00 05 00 ef cd ab 89 67 45 23 01\n"
            "07 00 00 00 00 00 00 00 2a 00 00 00 00 00 00 00\n"
            "09 00 00 00 00 00 00 00 00 00 00 00 00 c0 82 40\n"
            "00 00 00 00 00 00 d0 3f b8 0b 00 00 00 00 00 00\n"
            "01 00 00 00 00 00 00 00 04 00 00 00 00 00 00 00\n"
            "ae b3 31 13 47 05 7b f8 ed c4 32 9c e1 05 4a c7");
  EXPECT_EQ(hex(frame.payload.bytes), "00 00 80 3f");

  std::ifstream file(GOSSAMER_DOCS "/wire_format.md");
  std::stringstream page;
  page << file.rdbuf();
  std::istringstream lines(header + "\n" + hex(frame.payload.bytes));
  for (std::string line; std::getline(lines, line);) EXPECT_THAT(page.str(), HasSubstr(line));
}

TEST(Frame, RoundTrips) {
  for (const std::size_t size : {0U, 1U, 3U, 4U, 5U, 63U, 64U, 65U, 4095U, 4097U}) {
    const Frame sent = make_frame(example_header(), bytes_of(std::string(size, 'x')));
    EXPECT_EQ(sent.wire_bytes(), kFrameHeaderBytes + size);
    const auto header = decode_header(encode_header(sent.header), size);
    ASSERT_TRUE(header.ok()) << header.fault().reason;
    EXPECT_EQ(header.value(), sent.header);
    const auto frame = decode_frame(header.value(), sent.payload);
    ASSERT_TRUE(frame.ok()) << frame.fault().reason;
    EXPECT_EQ(frame.value().payload.bytes.data(), sent.payload.bytes.data());  // not copied
  }
}

TEST(Frame, ItsReceiverKnowsWhetherThePayloadIsFinite) {
  for (const float last : {1.0F, std::numeric_limits<float>::infinity()}) {
    FloatBuffer floats(1000, 1.0F);
    floats.back() = last;
    const SharedFloats shared = SharedFloats::of(std::move(floats));
    const Frame sent = make_frame(example_header(), {shared.owner, std::as_bytes(shared.values)});
    EXPECT_FALSE(sent.payload.finite);  // nobody has looked yet
    const auto frame = decode_frame(sent.header, sent.payload);
    ASSERT_TRUE(frame.ok());
    EXPECT_EQ(frame.value().payload.finite, last == 1.0F);
  }
}

TEST(Frame, EveryTypeRoundTrips) {
  for (int type = 1; type <= static_cast<int>(kLastFrameType); ++type) {
    FrameHeader header;
    header.type = static_cast<FrameType>(type);
    const auto decoded = decode_header(encode_header(header), 0);
    ASSERT_TRUE(decoded.ok()) << decoded.fault().reason;
    EXPECT_EQ(decoded.value(), header);
  }
}

TEST(Frame, WhatMembersSayIsToldFromTheRest) {
  std::set<FrameType> from_members;
  for (int type = 0; type < 256; ++type) {
    if (is_from_member(static_cast<FrameType>(type))) from_members.insert(static_cast<FrameType>(type));
  }
  EXPECT_EQ(from_members, (std::set{FrameType::update, FrameType::leave, FrameType::ready}));
}

TEST(Frame, EveryFlippedBitIsRefused) {
  const Frame frame = example_frame();
  const HeaderBytes good = encode_header(frame.header);
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    HeaderBytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const auto header = decode_header(bad, kNoLimit);
    ASSERT_FALSE(header.ok()) << "bit " << bit;
    EXPECT_EQ(header.fault().kind, FaultKind::malformed);
  }
  for (std::size_t bit = 0; bit < 8 * frame.payload.size(); ++bit) {
    ByteBuffer bad(frame.payload.bytes.begin(), frame.payload.bytes.end());
    bad[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    EXPECT_FALSE(decode_frame(frame.header, SharedBytes::of(std::move(bad))).ok()) << "bit " << bit;
  }
}

TEST(Frame, OtherLengthsAreRefused) {
  const Frame frame = example_frame();
  const HeaderBytes bytes = encode_header(frame.header);
  std::vector<std::byte> longer(bytes.begin(), bytes.end());
  longer.push_back(std::byte{0});
  EXPECT_FALSE(decode_header(longer, kNoLimit).ok());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_header(std::span(bytes).first(size), kNoLimit).ok()) << size;
  }
  EXPECT_FALSE(decode_frame(frame.header, bytes_of("123")).ok());
  EXPECT_FALSE(decode_frame(frame.header, bytes_of("12345")).ok());
}

TEST(Frame, PayloadLimitIsInclusive) {
  const HeaderBytes bytes = encode_header(make_frame(example_header(), bytes_of("12345678")).header);
  EXPECT_TRUE(decode_header(bytes, 8).ok());
  const auto refused = decode_header(bytes, 7);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.fault().reason, HasSubstr("8 bytes; at most 7"));
}

TEST(Frame, ValuesOutOfRangeAreRefusedByName) {
  const double nan = std::nan("");
  const double infinity = std::numeric_limits<double>::infinity();
  struct Change {
    std::string name;
    std::function<void(FrameHeader&)> change;
  };
  const Change cases[] = {
      {"round", [](FrameHeader& h) { h.round = -1; }},
      {"client", [](FrameHeader& h) { h.client = -1; }},
      {"samples", [](FrameHeader& h) { h.samples = -1; }},
      {"weight", [&](FrameHeader& h) { h.weight = nan; }},
      {"weight", [&](FrameHeader& h) { h.weight = infinity; }},
      {"weight", [](FrameHeader& h) { h.weight = -1e-300; }},
      {"train_loss", [&](FrameHeader& h) { h.train_loss = nan; }},
      {"train_loss", [&](FrameHeader& h) { h.train_loss = -infinity; }},
      {"type", [](FrameHeader& h) { h.type = static_cast<FrameType>(0); }},
      {"type", [](FrameHeader& h) { h.type = static_cast<FrameType>(static_cast<int>(kLastFrameType) + 1); }},
  };
  for (const Change& c : cases) {
    FrameHeader header = example_header();
    c.change(header);
    const auto decoded = decode_header(encode_header(header), kNoLimit);
    ASSERT_FALSE(decoded.ok()) << c.name;
    EXPECT_EQ(decoded.fault().kind, FaultKind::malformed);
    EXPECT_THAT(decoded.fault().reason, HasSubstr(c.name));
  }
}

}  // namespace
}  // namespace gossamer
