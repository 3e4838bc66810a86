#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "comms/frame.h"
#include "core/result.h"
#include "core/update.h"
#include "core/work_terms.h"

namespace gossamer {

// What goes to all shards of a server, or comes from them: a frame each, in their order. A server that is not
// divided is one shard.
struct Parcel {
  Frame first;
  std::vector<Frame> more;

  const FrameHeader& header() const noexcept { return first.header; }
  std::size_t frames() const noexcept { return 1 + more.size(); }
  const Frame& operator[](std::size_t shard) const { return shard == 0 ? first : more[shard - 1]; }
  std::size_t wire_bytes() const noexcept;
};

// Makes parcels of models, in which each frame says whose range it is. Remembers the last one: where
// everybody goes on by himself, each is sent the same model by an action of his own, and it is hashed once.
class ModelEncoder {
 public:
  explicit ModelEncoder(std::uint64_t run_id) : run_id_(run_id) {}
  // For `client` to train in `round` on these terms; readdress() it for others. `bases`: of a difference, the
  // mark of what it is to, one a shard. Good until the next call.
  const Parcel& encode(Round round, ClientId client, const Compressed& first,
                       std::span<const Compressed> more = {}, const WorkTerms& terms = {},
                       std::span<const std::uint64_t> bases = {});

 private:
  std::uint64_t run_id_;
  Parcel last_;
};

// As codec.h's functions of a frame.
Parcel readdress(Parcel models, ClientId client);
Parcel encode_update_parcel(std::uint64_t run_id, const CompressedUpdate& update);
Result<CompressedUpdate> decode_update(Parcel parcel);
Result<Parcel> pass_through(Parcel parcel);

// Puts together the parcels of clients from frames that come one by one, from one shard earlier than from
// another. Holds one parcel a client at most: that of the newest round.
class ParcelAssembly {
 public:
  explicit ParcelAssembly(std::size_t shards) : shards_(shards) {}

  // Takes a frame in; the parcel where that was the last one missing. One that is older than what is there is
  // dropped, and one that comes again takes the place of the first.
  std::optional<Parcel> add(std::size_t shard, Frame frame);
  // Forgets what there is of a client's round; of everybody.
  void drop(ClientId client, Round round);
  void clear() { open_.clear(); }

 private:
  struct Open {
    Round round = 0;
    std::vector<std::optional<Frame>> frames;
  };

  std::size_t shards_;
  std::map<ClientId, Open> open_;
};

}  // namespace gossamer
