#include "comms/collectives/segment_header.h"

#include <bit>
#include <cstring>
#include <string>

namespace gossamer {
namespace {

static_assert(std::endian::native == std::endian::little, "headers are little-endian on the wire");

constexpr std::uint32_t kMagic = 0x47455347;  // "GSEG"
constexpr std::uint8_t kVersion = 1;

// As it lies on the wire.
struct WireSegmentHeader {
  std::uint32_t magic = kMagic;
  std::uint8_t version = kVersion;
  std::uint8_t kind = 0;
  std::uint16_t from = 0;
  std::uint64_t group = 0;
  std::uint64_t sequence = 0;
  std::uint64_t consumed = 0;
};
static_assert(sizeof(WireSegmentHeader) == kSegmentHeaderBytes);

}  // namespace

SegmentHeaderBytes encode_segment_header(const SegmentHeader& header) {
  WireSegmentHeader wire;
  wire.kind = static_cast<std::uint8_t>(header.kind);
  wire.from = static_cast<std::uint16_t>(header.from);
  wire.group = header.group;
  wire.sequence = header.sequence;
  wire.consumed = header.consumed;
  return std::bit_cast<SegmentHeaderBytes>(wire);
}

Result<SegmentHeader> decode_segment_header(std::span<const std::byte> bytes, int world_size) {
  if (bytes.size() != kSegmentHeaderBytes) {
    return malformed("segment header of " + std::to_string(bytes.size()) + " bytes; it has " +
                     std::to_string(kSegmentHeaderBytes));
  }
  WireSegmentHeader wire;
  std::memcpy(&wire, bytes.data(), sizeof(wire));
  if (wire.magic != kMagic) return malformed("not a segment of this program (magic)");
  if (wire.version != kVersion) return malformed("segment of version " + std::to_string(wire.version));
  if (wire.kind < static_cast<std::uint8_t>(SegmentKind::hello) ||
      wire.kind > static_cast<std::uint8_t>(SegmentKind::bye)) {
    return malformed("segment of unknown kind " + std::to_string(wire.kind));
  }
  if (wire.from >= world_size) return malformed("segment from unknown rank " + std::to_string(wire.from));
  return SegmentHeader{static_cast<SegmentKind>(wire.kind), wire.from, wire.group, wire.sequence,
                       wire.consumed};
}

}  // namespace gossamer
