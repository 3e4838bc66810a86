#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "comms/frame.h"
#include "core/result.h"
#include "core/update.h"
#include "core/work_terms.h"

namespace gossamer {

// What the two sides say to each other, as frames. Encoding shares the payload's storage and copies nothing;
// decoding trusts nothing: a frame of another type, a length that does not fit or a value out of range is
// `malformed`. All functions are pure and safe from any thread.

// What a client says first. Two sides that differ in the first two would train different models.
struct Hello {
  std::uint64_t config_digest = 0;       // Options::digest()
  std::uint64_t layout_fingerprint = 0;  // ParameterLayout::fingerprint()
  double examples = 0;                   // how many examples the client holds; finite, at least 0
  std::uint32_t version = 0;             // of the program, for messages
  std::int64_t shards = 1;               // that it takes the server to have; in the header

  bool operator==(const Hello&) const = default;
};
inline constexpr std::size_t kHelloBytes = 28;

// `attempt` tells a hello that is said again from one of a client that starts anew.
Frame encode_hello(std::uint64_t run_id, ClientId client, const Hello& hello, std::uint64_t attempt = 0);
Result<Hello> decode_hello(const Frame& frame);

// A model for `client` to train in `round` on these terms; as a whole, or as a difference to the vector with
// the mark `base` (compression/model_codec.h). Hashes the payload once; for the next client, readdress() the
// frame, which costs nothing. What `content` holds is checked by the compressor that decompresses it.
Frame encode_model(std::uint64_t run_id, Round round, ClientId client, std::uint64_t base,
                   const Compressed& content, const WorkTerms& terms = {});
Frame readdress(Frame model, ClientId client);
// Writes the terms into a model's header, and reads them; none where the method is no whole number less than
// `choices`, or the clip norm negative.
void set_terms(FrameHeader& model, const WorkTerms& terms) noexcept;
std::optional<WorkTerms> terms_of(const FrameHeader& model, std::size_t choices);
// 0: of a whole model.
inline std::uint64_t base_of(const FrameHeader& model) noexcept { return model.sequence; }
Result<Compressed> decode_model(const Frame& frame);

Frame encode_update(std::uint64_t run_id, const CompressedUpdate& update);
Result<CompressedUpdate> decode_update(Frame frame);

// refuse, finish and leave carry their reason, welcome a folder, address an address (frame.h). Longer texts
// are cut at kMaxTextBytes when encoded and refused when decoded. Each byte that is not part of a printable
// UTF-8 character is decoded as
// '?', so that a text can be shown on a terminal.
inline constexpr std::size_t kMaxTextBytes = 4096;
Frame encode_text(FrameType type, std::uint64_t run_id, ClientId client, std::string_view text);
Result<std::string> decode_text(const Frame& frame);
// A finish, whose text is the reason.
Frame encode_finish(std::uint64_t run_id, ClientId client, std::string_view reason, bool success);
inline bool is_failure(const Frame& finish) noexcept { return finish.header.sequence == 1; }

// Of a frame that is not of the type that its receiver asked for.
Fault unexpected(FrameType type);

// What a frame is after its way over a wire, for a participant in the coordinator's own process: with all
// checks of its header and payload, but without the header's bytes. The payload's storage is shared.
Result<Frame> pass_through(Frame frame);

// heartbeat, cancel, ready, grant, show, lost, linked: a header says it all.
Frame encode_signal(FrameType type, std::uint64_t run_id, ClientId client, Round round = 0,
                    std::uint64_t sequence = 0);

}  // namespace gossamer
