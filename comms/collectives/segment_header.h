#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/result.h"

namespace gossamer {

enum class SegmentKind : std::uint8_t {
  hello = 1,   // the first message to a peer
  data = 2,    // a segment; the payload follows
  credit = 3,  // nothing but `consumed`
  failed = 4,  // the sender gives up; `sequence` is the rank that it has lost
  bye = 5,     // the sender is done with all its sums
};

// What goes before every segment over ZeroMQ (docs/wire_format.md).
struct SegmentHeader {
  SegmentKind kind = SegmentKind::data;
  Rank from = 0;
  std::uint64_t group = 0;     // which group of peers
  std::uint64_t sequence = 0;  // of this segment among those to this peer, from 0
  std::uint64_t consumed = 0;  // how many segments of the receiver's the sender is done with
};

inline constexpr std::size_t kSegmentHeaderBytes = 32;
using SegmentHeaderBytes = std::array<std::byte, kSegmentHeaderBytes>;

SegmentHeaderBytes encode_segment_header(const SegmentHeader& header);
// Checks size, magic, version, kind and that the rank is one of `world_size`: `malformed`.
Result<SegmentHeader> decode_segment_header(std::span<const std::byte> bytes, int world_size);

}  // namespace gossamer
