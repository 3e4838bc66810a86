#include "comms/frame.h"

#include <bit>
#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

#include "comms/memory_archive.h"
#include "core/checksum.h"
#include "core/shard_plan.h"

namespace gossamer {
namespace {

static_assert(std::endian::native == std::endian::little,
              "headers and payloads are little-endian on the wire");

constexpr std::size_t kCheckedBytes = kFrameHeaderBytes - sizeof(std::uint64_t);

// The header as it lies on the wire and in memory: without padding.
struct WireHeader {
  std::uint32_t magic;
  std::uint16_t version;
  std::uint8_t type;
  std::uint8_t metadata;
  std::uint64_t run_id;
  Round round;
  ClientId client;
  std::uint64_t sequence;
  double weight;
  double train_loss;
  std::int64_t samples;
  std::uint64_t elements;
  std::uint64_t payload_bytes;
  std::uint64_t payload_checksum;
  std::uint64_t checksum;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::binary_data(this, sizeof *this));
  }
};
static_assert(std::is_trivially_copyable_v<WireHeader> && sizeof(WireHeader) == kFrameHeaderBytes &&
              offsetof(WireHeader, checksum) == kCheckedBytes);

bool known(std::uint8_t type) {
  return type >= static_cast<std::uint8_t>(FrameType::hello) &&
         type <= static_cast<std::uint8_t>(kLastFrameType);
}

}  // namespace

bool is_from_member(FrameType type) noexcept {
  switch (type) {
    case FrameType::update:
    case FrameType::leave:
    case FrameType::ready:
      return true;
    case FrameType::hello:
    case FrameType::welcome:
    case FrameType::refuse:
    case FrameType::model:
    case FrameType::heartbeat:
    case FrameType::finish:
    case FrameType::cancel:
    case FrameType::report:
    case FrameType::state:
    case FrameType::roster:
    case FrameType::address:
    case FrameType::grant:
    case FrameType::show:
    case FrameType::share:
    case FrameType::difference:
    case FrameType::lost:
    case FrameType::order:
    case FrameType::section:
    case FrameType::part:
    case FrameType::linked:
      return false;
  }
  return false;
}

Frame make_frame(FrameHeader header, SharedBytes payload) {
  header.payload_bytes = payload.size();
  header.payload_checksum = checksum_of(payload.bytes);
  return {header, std::move(payload)};
}

HeaderBytes encode_header(const FrameHeader& header) {
  WireHeader wire{.magic = kFrameMagic,
                  .version = kWireVersion,
                  .type = static_cast<std::uint8_t>(header.type),
                  .metadata = header.metadata,
                  .run_id = header.run_id,
                  .round = header.round,
                  .client = header.client,
                  .sequence = header.sequence,
                  .weight = header.weight,
                  .train_loss = header.train_loss,
                  .samples = header.samples,
                  .elements = header.elements,
                  .payload_bytes = header.payload_bytes,
                  .payload_checksum = header.payload_checksum,
                  .checksum = 0};
  wire.checksum = checksum_of(std::as_bytes(std::span(&wire, 1)).first(kCheckedBytes));
  HeaderBytes bytes;
  write_fields(bytes, wire);
  return bytes;
}

Result<std::monostate> check_header(const FrameHeader& header, std::uint64_t max_payload_bytes) {
  if (const auto type = static_cast<std::uint8_t>(header.type); !known(type))
    return malformed("unknown frame type " + std::to_string(type));
  if (header.round < 0) return malformed("negative round");
  if (header.client < 0) return malformed("negative client");
  if (header.samples < 0) return malformed("negative samples");
  if (!std::isfinite(header.weight) || header.weight < 0) {
    return malformed("weight is not a finite number of at least 0");
  }
  if (!std::isfinite(header.train_loss)) return malformed("train_loss is not finite");
  const bool metadata_fits =
      header.type == FrameType::model
          ? header.metadata < kMostShards
          : header.type == FrameType::update && header.payload_bytes >= header.metadata * sizeof(double);
  if (header.metadata != 0 && !metadata_fits) {
    return malformed("metadata that the frame cannot have");
  }
  if (header.payload_bytes > max_payload_bytes) {
    return malformed("payload of " + std::to_string(header.payload_bytes) + " bytes; at most " +
                     std::to_string(max_payload_bytes) + " are accepted");
  }
  return std::monostate{};
}

Result<FrameHeader> decode_header(std::span<const std::byte> bytes, std::uint64_t max_payload_bytes) {
  if (bytes.size() != kFrameHeaderBytes) {
    return malformed("header of " + std::to_string(bytes.size()) + " bytes; it has " +
                     std::to_string(kFrameHeaderBytes));
  }
  const auto wire = read_fields<WireHeader>(bytes);
  if (wire.magic != kFrameMagic) return malformed("not a frame of this program (magic)");
  if (wire.version != kWireVersion) {
    return malformed("wire version " + std::to_string(wire.version) + "; this program speaks " +
                     std::to_string(kWireVersion));
  }
  if (wire.checksum != checksum_of(bytes.first(kCheckedBytes))) return malformed("header checksum is wrong");
  const FrameHeader header{.type = static_cast<FrameType>(wire.type),
                           .run_id = wire.run_id,
                           .round = wire.round,
                           .client = wire.client,
                           .sequence = wire.sequence,
                           .weight = wire.weight,
                           .train_loss = wire.train_loss,
                           .samples = wire.samples,
                           .elements = wire.elements,
                           .payload_bytes = wire.payload_bytes,
                           .payload_checksum = wire.payload_checksum,
                           .metadata = wire.metadata};
  if (auto sane = check_header(header, max_payload_bytes); !sane) return sane.fault();
  return header;
}

Result<Frame> decode_frame(const FrameHeader& header, SharedBytes payload) {
  if (payload.size() != header.payload_bytes) {
    return malformed("payload of " + std::to_string(payload.size()) + " bytes where the header says " +
                     std::to_string(header.payload_bytes));
  }
  const Scan seen = scan(payload.bytes);
  if (seen.checksum != header.payload_checksum) return malformed("payload checksum is wrong");
  payload.finite = seen.finite;
  return Frame{header, std::move(payload)};
}

}  // namespace gossamer
