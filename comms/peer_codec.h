#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comms/frame.h"
#include "core/result.h"
#include "core/update.h"

namespace gossamer {

// What peers say to one another and to who keeps the run, as frames; the rules are codec.h's.

// In lockstep nobody begins a round that is further than this ahead of the last one that all have completed.
inline constexpr Round kRoundsAhead = 2;

// What a peer's round of work came to. info.weight, train_loss and samples as in an update; bytes are those
// of the peer's exchange with others since its last report.
struct PeerReport {
  UpdateInfo info;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
};
Frame encode_report(std::uint64_t run_id, const PeerReport& report);
Result<PeerReport> decode_report(const Frame& frame);

// A peer's own model after `round`, exactly. read_floats() takes it out: `malformed` where the payload is not
// values.size() finite floats, and then the values hold anything.
Frame encode_state(std::uint64_t run_id, ClientId client, Round round, const SharedFloats& values);
Result<std::monostate> read_floats(const Frame& frame, std::span<float> values);

// A model, or a difference of two, on its way from one peer to another.
struct PeerShare {
  ClientId from = 0;
  ClientId to = 0;
  Round round = 0;    // of the sender
  double weight = 0;  // GoSGD: the share of the sender's weight that comes with the model
  Compressed content;
};
Frame encode_share(std::uint64_t run_id, FrameType type, const PeerShare& share);
Result<PeerShare> decode_share(const Frame& frame);

// Where everybody listens, by client id: a u32 count, then for each a u16 length and as many printable
// characters.
inline constexpr std::size_t kMaxAddressBytes = 256;
Frame encode_roster(std::uint64_t run_id, ClientId client, std::span<const std::string> addresses);
Result<std::vector<std::string>> decode_roster(const Frame& frame);

}  // namespace gossamer
