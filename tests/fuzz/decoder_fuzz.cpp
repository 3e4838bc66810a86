// What a peer can send: any header, any payload. Each decoder either refuses the bytes or gives back what
// encodes to the same bytes.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "comms/codec.h"
#include "comms/peer_codec.h"
#include "comms/shard_codec.h"
#include "server/filters/methods.h"

namespace {

using namespace gossamer;

constexpr std::uint64_t kMaxPayloadBytes = 1U << 16U;

void require(bool condition) {
  if (!condition) std::abort();
}

void decode_payload(const Frame& frame) {
  if (const auto hello = decode_hello(frame)) {
    require(std::isfinite(hello.value().examples) && hello.value().examples >= 0);
    const Frame again = encode_hello(frame.header.run_id, frame.header.client, hello.value());
    require(again.header.payload_checksum == frame.header.payload_checksum);
  }
  if (const auto update = decode_update(frame)) {
    require(update.value().info.client >= 0 && update.value().info.round >= 0);
    require(std::isfinite(update.value().info.weight) && update.value().info.weight >= 0);
    require(encode_header(encode_update(frame.header.run_id, update.value()).header) ==
            encode_header(frame.header));
  }
  if (const auto model = decode_model(frame)) {
    require(model.value().payload.size() == frame.payload.size());
  }
  if (const auto report = decode_report(frame)) {
    require(encode_header(encode_report(frame.header.run_id, report.value()).header).size() ==
            kFrameHeaderBytes);
  }
  if (const auto share = decode_share(frame)) {
    require(share.value().from >= 0 && share.value().to >= 0);
    require(
        encode_header(encode_share(frame.header.run_id, frame.header.type, share.value()).header).size() ==
        kFrameHeaderBytes);
  }
  if (const auto roster = decode_roster(frame)) {
    const Frame again = encode_roster(frame.header.run_id, frame.header.client, roster.value());
    require(again.header.payload_checksum == frame.header.payload_checksum);
  }
  if (const auto orders = decode_orders(frame)) {
    require(orders.value().size() <= kOrdersPerFrame);
    for (const ShardOrder& order : orders.value()) require(order.client >= 0 && order.round >= 0);
    const Frame again = encode_orders(frame.header.run_id, orders.value());
    require(again.header.payload_checksum == frame.header.payload_checksum);
  }
  if (auto section = decode_section(frame)) {
    require(section.value().values.size() * sizeof(float) == frame.payload.size());
    const Frame again = encode_section(frame.header.run_id, std::move(section).value());
    require(again.header.payload_checksum == frame.header.payload_checksum);
  }
  if (const auto part = decode_part(frame)) require(part.value().client >= 0 && part.value().round >= 0);
  if (frame.header.elements <= kMaxPayloadBytes) {
    std::vector<float> values(frame.header.elements);
    if (read_floats(frame, values)) {
      for (const float value : values) require(std::isfinite(value));
    }
    if (make_sparse_codec()->decompress({values.size(), frame.payload}, values)) {
      for (const float value : values) require(std::isfinite(value));
    }
  }
  if (const auto text = decode_text(frame)) {
    require(text.value().size() == frame.payload.size());
    for (const char c : text.value()) require((c < 0 || c >= ' ') && c != '\x7f');
  }
}

// The bytes as they came: most inputs stop at the magic or a checksum.
void decode_as_is(std::span<const std::byte> input) {
  const auto head = input.first(std::min(input.size(), kFrameHeaderBytes));
  const auto header = decode_header(head, kMaxPayloadBytes);
  if (!header) return;
  require(header.value().payload_bytes <= kMaxPayloadBytes);
  require(std::memcmp(encode_header(header.value()).data(), head.data(), head.size()) == 0);
  const auto frame = decode_frame(header.value(), {nullptr, input.subspan(head.size())});
  if (frame) decode_payload(frame.value());
}

// The same bytes as the fields of a header whose checksums are right, to get past them.
void decode_with_checksums(std::span<const std::byte> input) {
  constexpr std::size_t kFields = 1 + 8 * 8;
  if (input.size() < kFields) return;
  std::array<std::uint64_t, 8> fields;
  std::memcpy(fields.data(), input.data() + 1, sizeof(fields));
  FrameHeader header;
  header.type = static_cast<FrameType>(input[0]);
  header.run_id = fields[0];
  header.round = static_cast<Round>(fields[1]);
  header.client = static_cast<ClientId>(fields[2]);
  header.sequence = fields[3];
  std::memcpy(&header.weight, &fields[4], sizeof(double));
  std::memcpy(&header.train_loss, &fields[5], sizeof(double));
  header.samples = static_cast<std::int64_t>(fields[6]);
  header.elements = fields[7];
  const Frame sent = make_frame(header, {nullptr, input.subspan(kFields)});
  const auto decoded = decode_header(encode_header(sent.header), kMaxPayloadBytes);
  if (!decoded) return;
  require(decoded.value() == sent.header);
  const auto frame = decode_frame(decoded.value(), sent.payload);
  require(frame.ok());
  decode_payload(frame.value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  decode_as_is(input);
  decode_with_checksums(input);
  return 0;
}
