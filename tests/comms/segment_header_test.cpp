#include "comms/collectives/segment_header.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace gossamer {
namespace {

using testing::HasSubstr;

constexpr int kWorldSize = 300;
const SegmentHeader kHeader{SegmentKind::data, 258, 0x1122334455667788, 7, 9};

TEST(SegmentHeader, ComesBackAsItWas) {
  for (const SegmentKind kind :
       {SegmentKind::hello, SegmentKind::data, SegmentKind::credit, SegmentKind::failed, SegmentKind::bye}) {
    SegmentHeader header = kHeader;
    header.kind = kind;
    const auto decoded = decode_segment_header(encode_segment_header(header), kWorldSize);
    ASSERT_TRUE(decoded.ok()) << decoded.fault().reason;
    EXPECT_EQ(decoded.value().kind, kind);
    EXPECT_EQ(decoded.value().from, 258);
    EXPECT_EQ(decoded.value().group, 0x1122334455667788U);
    EXPECT_EQ(decoded.value().sequence, 7U);
    EXPECT_EQ(decoded.value().consumed, 9U);
  }
}

TEST(SegmentHeader, LiesOnTheWireAsDocumented) {
  const std::vector<unsigned> expected{
      0x47, 0x53, 0x45, 0x47, 1,    2,    2,    1,  // GSEG, version, data, rank 258
      0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0};
  std::vector<unsigned> bytes;
  for (const std::byte byte : encode_segment_header(kHeader))
    bytes.push_back(std::to_integer<unsigned>(byte));
  EXPECT_EQ(bytes, expected);
}

TEST(SegmentHeader, WhatIsNotOneIsRefused) {
  const auto refused = [](std::size_t at, int value) {
    SegmentHeaderBytes bytes = encode_segment_header(kHeader);
    bytes.at(at) = static_cast<std::byte>(value);
    const auto decoded = decode_segment_header(bytes, kWorldSize);
    return decoded.ok() ? std::string("accepted") : decoded.fault().reason;
  };
  EXPECT_THAT(refused(0, 0), HasSubstr("magic"));
  EXPECT_THAT(refused(4, 2), HasSubstr("version 2"));
  EXPECT_THAT(refused(5, 0), HasSubstr("kind 0"));
  EXPECT_THAT(refused(5, 6), HasSubstr("kind 6"));
  EXPECT_THAT(refused(7, 2), HasSubstr("rank 514"));
  const SegmentHeaderBytes bytes = encode_segment_header(kHeader);
  EXPECT_THAT(decode_segment_header(std::span(bytes).first(31), kWorldSize).fault().reason,
              HasSubstr("31 bytes"));
  EXPECT_FALSE(decode_segment_header({}, kWorldSize).ok());
}

}  // namespace
}  // namespace gossamer
