#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/buffers.h"
#include "core/result.h"
#include "core/types.h"

namespace gossamer {

// The byte layout of everything here is docs/wire_format.md.

enum class FrameType : std::uint8_t {  // numbered without gaps, up to kLastFrameType
  hello = 1,      // client -> server: I am `client` (or kUnassignedClient: number me), attempt `sequence`;
                  // payload: Hello (codec.h)
  welcome = 2,    // server -> client: you are in, as `client`; payload: the folder of checkpoints that the
                  // server shares with it, as text, or nothing
  refuse = 3,     // server -> client: payload is the reason, as text; do not come back unchanged
  model = 4,      // server -> client: train this model for `round`; payload: the compressed model
  update = 5,     // client -> server: the outcome of `round`; payload: the compressed update
  heartbeat = 6,  // server -> client: are you there?
  finish = 7,     // server -> client: the run is over; payload is the reason, as text
  leave = 8,      // client -> server: going away; payload is the reason, as text
  cancel = 9,     // server -> client: the work of `round` is not waited for any more
  ready = 10,     // client -> server: send me the model now (sync.pull = on_request)
  // Between peers, and between a peer and who keeps the run (the recorder):
  report = 11,      // peer -> recorder: what a round of work came to (peer_codec.h)
  state = 12,       // peer -> recorder: the peer's model after `round`; payload: its floats
  roster = 13,      // recorder -> peer: who is where; payload: addresses (peer_codec.h)
  address = 14,     // peer -> recorder: where I listen; payload: the address, as text
  grant = 15,       // recorder -> peer: `round` may begin; sequence 1: and its state is asked for
  show = 16,        // recorder -> peer: your state, please
  share = 17,       // peer `client` -> peer `sequence`: my model; payload: the compressed model
  difference = 18,  // the answer: what my model has taken from yours; payload: like a model
  lost = 19,        // recorder -> peer: `client` is not among us any more;
                    // shard -> shard 0: I have lost `client`
  // Between the shards of a server (shard_codec.h):
  order = 20,    // shard 0 -> shard: do this; payload: orders
  section = 21,  // either way: one of the vectors that a shard holds; payload: its floats
  part = 22,     // shard -> shard 0: `client`'s part of its update of `round` is here
  linked = 23,   // shard -> shard 0: `client` has a connection to me
};
inline constexpr FrameType kLastFrameType = FrameType::linked;

// What a client that has been admitted says to its server. A driver asks this of every frame, so that a new
// type is let through or dropped in one place.
bool is_from_member(FrameType type) noexcept;

// The fixed part of every frame. Fields that a type does not use are zero.
struct FrameHeader {
  FrameType type = FrameType::heartbeat;
  std::uint64_t run_id = 0;
  Round round = 0;
  ClientId client = 0;
  std::uint64_t sequence = 0;
  double weight = 0;
  double train_loss = 0;
  std::int64_t samples = 0;
  std::uint64_t elements = 0;          // floats that the payload stands for
  std::uint64_t payload_bytes = 0;     // set by make_frame()
  std::uint64_t payload_checksum = 0;  // XXH3-64 of the payload; set by make_frame()
  std::uint8_t metadata = 0;           // of an update: doubles that follow its content in the payload;
                                       // of a model: the shard whose range it is

  bool operator==(const FrameHeader&) const = default;
};

struct Frame {
  FrameHeader header;
  SharedBytes payload;

  std::size_t wire_bytes() const noexcept;  // header + payload: what bytes_up and bytes_down count
};

// magic u32, version u16, type u8, metadata u8, the other fields above in order, then the header's own
// checksum (XXH3-64 of the 88 bytes before it); little-endian, no padding.
inline constexpr std::size_t kFrameHeaderBytes = 96;
inline constexpr std::uint32_t kFrameMagic = 0x4D534F47;  // "GOSM" on the wire
inline constexpr std::uint16_t kWireVersion = 1;
using HeaderBytes = std::array<std::byte, kFrameHeaderBytes>;

// Joins a header and a payload: fills in payload_bytes and payload_checksum, in one pass over the payload. A
// frame made of another one by changing other fields of its header needs no second pass: that is how a model
// is hashed once and sent to many (codec.h, readdress()).
Frame make_frame(FrameHeader header, SharedBytes payload);

// Writes the header (by cereal). Allocates nothing.
HeaderBytes encode_header(const FrameHeader& header);

// Checks type, metadata and every field's range, and that payload_bytes <= max_payload_bytes.
Result<std::monostate> check_header(const FrameHeader& header, std::uint64_t max_payload_bytes);

// Checks length, magic, version, checksum and what check_header() does: all before anything is allocated.
// Whatever the bytes, the result is a header that encode_header() could have written, or `malformed`.
Result<FrameHeader> decode_header(std::span<const std::byte> bytes, std::uint64_t max_payload_bytes);

// Checks the payload's length and checksum against the header, and joins the two; the same pass finds out
// whether the payload is `finite`.
Result<Frame> decode_frame(const FrameHeader& header, SharedBytes payload);

inline std::size_t Frame::wire_bytes() const noexcept { return kFrameHeaderBytes + payload.size(); }

}  // namespace gossamer
