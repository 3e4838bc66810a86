#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "comms/frame.h"
#include "core/buffers.h"
#include "core/result.h"

namespace gossamer {

// What the shards of a server say to one another, as frames; the rules are codec.h's.

// What shard 0 has the others do, in this order. They decide nothing.
struct ShardOrder {
  enum class Kind : std::uint8_t {  // numbered without gaps, up to kLast
    begin = 1,                      // forget who works on what, what came in, and what was added
    serve,             // the model as it is now goes to `client`, for `round`; its serving number `value`
    serve_again,       // the same with the model that it is at work on
    add,               // its update of `round` counts `value`
    add_stale,         // the same, of the version that it was sent
    commit,            // what was added makes the next version
    commit_over,       // the same, a mean being divided by `value`
    forget,            // whatever there is of `client` and its work
    hold,              // of a resumed run: `client` is at work in `round` on base number `value`
    show_model,        // answer with this range of the model
    show_state,        // with all else that the next versions depend on
    show_base,         // with the version that `client` is at work on, as base number `round`
    show_end,          // with a section of kind `end`
    serve_difference,  // as `serve`, to a client that holds the model of the round before
  };
  static constexpr Kind kLast = Kind::serve_difference;

  Kind kind = Kind::begin;
  ClientId client = 0;
  Round round = 0;
  double value = 0;

  bool operator==(const ShardOrder&) const = default;
};
inline constexpr std::size_t kShardOrderBytes = 25;
// So many go into one frame at most, which any receiver accepts.
inline constexpr std::size_t kOrdersPerFrame = 2048;
Frame encode_orders(std::uint64_t run_id, std::span<const ShardOrder> orders);
Result<std::vector<ShardOrder>> decode_orders(const Frame& frame);

// One of the vectors that a shard holds, on its way to or from shard 0.
struct ShardSection {
  enum class Kind : std::uint8_t { model = 1, moment, correction, base, end, reference };  // up to kLast
  static constexpr Kind kLast = Kind::reference;

  Kind kind = Kind::end;
  std::uint64_t number = 0;  // of a moment or a base
  FloatBuffer values;
};
Frame encode_section(std::uint64_t run_id, ShardSection section);
Result<ShardSection> decode_section(const Frame& frame);

// A client's part of its update is with a shard. `well`: as its range of the model asks for, and kept, since
// the shard has served it that round, last with serving number `serving`. The bytes are all that this shard
// has sent as models, and received as updates.
struct PartNotice {
  ClientId client = 0;
  Round round = 0;
  bool well = true;
  std::uint64_t bytes_down = 0;
  std::uint64_t bytes_up = 0;
  double serving = 0;
};
Frame encode_part(std::uint64_t run_id, const PartNotice& notice);
Result<PartNotice> decode_part(const Frame& frame);

}  // namespace gossamer
