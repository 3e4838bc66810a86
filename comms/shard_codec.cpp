#include "comms/shard_codec.h"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "comms/codec.h"
#include "comms/memory_archive.h"

namespace gossamer {
namespace {

// An order as it lies on the wire.
struct WireOrder {
  std::uint8_t kind = 0;
  ClientId client = 0;
  Round round = 0;
  double value = 0;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(kind, client, round, value);
  }
};

}  // namespace

Frame encode_orders(std::uint64_t run_id, std::span<const ShardOrder> orders) {
  if (orders.size() > kOrdersPerFrame) throw std::logic_error("encode_orders: too many for a frame");
  ByteBuffer bytes(orders.size() * kShardOrderBytes);
  for (std::size_t i = 0; i < orders.size(); ++i) {
    const ShardOrder& order = orders[i];
    write_fields(std::span(bytes).subspan(i * kShardOrderBytes, kShardOrderBytes),
                 WireOrder{static_cast<std::uint8_t>(order.kind), order.client, order.round, order.value});
  }
  FrameHeader header;
  header.type = FrameType::order;
  header.run_id = run_id;
  return make_frame(header, SharedBytes::of(std::move(bytes)));
}

Result<std::vector<ShardOrder>> decode_orders(const Frame& frame) {
  if (frame.header.type != FrameType::order) return unexpected(frame.header.type);
  const std::size_t bytes = frame.payload.size();
  if (bytes % kShardOrderBytes != 0 || bytes > kOrdersPerFrame * kShardOrderBytes)
    return malformed("orders of " + std::to_string(bytes) + " bytes");
  std::vector<ShardOrder> orders;
  orders.reserve(bytes / kShardOrderBytes);
  for (std::size_t at = 0; at < bytes; at += kShardOrderBytes) {
    const auto wire = read_fields<WireOrder>(frame.payload.bytes.subspan(at, kShardOrderBytes));
    if (wire.kind < 1 || wire.kind > static_cast<std::uint8_t>(ShardOrder::kLast))
      return malformed("unknown order " + std::to_string(wire.kind));
    if (wire.client < 0 || wire.round < 0) return malformed("order about a negative client or round");
    if (!std::isfinite(wire.value)) return malformed("order whose value is not finite");
    orders.push_back({static_cast<ShardOrder::Kind>(wire.kind), wire.client, wire.round, wire.value});
  }
  return orders;
}

Frame encode_section(std::uint64_t run_id, ShardSection section) {
  FrameHeader header;
  header.type = FrameType::section;
  header.run_id = run_id;
  header.sequence = section.number;
  header.samples = static_cast<std::int64_t>(section.kind);
  header.elements = section.values.size();
  const SharedFloats floats = SharedFloats::of(std::move(section.values));
  return make_frame(header, {floats.owner, std::as_bytes(floats.values)});
}

Result<ShardSection> decode_section(const Frame& frame) {
  const FrameHeader& header = frame.header;
  if (header.type != FrameType::section) return unexpected(header.type);
  if (header.samples < 1 || header.samples > static_cast<std::int64_t>(ShardSection::kLast))
    return malformed("section of an unknown kind");
  const std::size_t bytes = frame.payload.size();
  if (bytes % sizeof(float) != 0 || header.elements != bytes / sizeof(float))
    return malformed("section whose length is not what it says");
  ShardSection section{static_cast<ShardSection::Kind>(header.samples), header.sequence, {}};
  section.values.resize(bytes / sizeof(float));
  if (bytes > 0) std::memcpy(section.values.data(), frame.payload.bytes.data(), bytes);
  return section;
}

Frame encode_part(std::uint64_t run_id, const PartNotice& notice) {
  FrameHeader header;
  header.type = FrameType::part;
  header.run_id = run_id;
  header.client = notice.client;
  header.round = notice.round;
  header.samples = notice.well ? 1 : 0;
  header.sequence = notice.bytes_down;
  header.elements = notice.bytes_up;
  header.weight = notice.serving;
  return make_frame(header, {});
}

Result<PartNotice> decode_part(const Frame& frame) {
  const FrameHeader& header = frame.header;
  if (header.type != FrameType::part) return unexpected(header.type);
  if (frame.payload.size() != 0 || header.samples > 1) return malformed("notice of a part that is none");
  return PartNotice{header.client,   header.round,    header.samples == 1,
                    header.sequence, header.elements, header.weight};
}

}  // namespace gossamer
