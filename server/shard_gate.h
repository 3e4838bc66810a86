#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "core/types.h"
#include "core/update.h"

namespace gossamer {

// Shard 0's side of clients that talk to all shards: who has connections to all of them, and of which updates
// all parts have come in. Holds the first part of one update a client at most, the newest round's. No I/O.
class ShardGate {
 public:
  explicit ShardGate(std::size_t shards) : all_((std::uint64_t{2} << (shards - 1)) - 1) {}

  // The client has a connection to that shard, perhaps a new one. True where it has all of them now.
  bool link(ClientId client, std::size_t shard);
  // It has it no more. True where it had all of them before.
  bool unlink(ClientId client, std::size_t shard);
  bool has_link(ClientId client, std::size_t shard) const;

  // A part has come in, at another shard or here. The update where it was the last one missing; without its
  // content where a part was not well, so that it will be refused.
  std::optional<CompressedUpdate> part(std::size_t shard, ClientId client, Round round, bool well);
  std::optional<CompressedUpdate> part(const CompressedUpdate& first);
  // Whether the client has sent an update of which parts are missing.
  bool is_open(ClientId client) const;
  // What has come in so far is not waited for any more: the client does its work again.
  void forget(ClientId client) { open_.erase(client); }

 private:
  struct Open {
    Round round = 0;
    std::uint64_t here = 0;
    std::uint64_t bad = 0;
    std::optional<CompressedUpdate> first;
  };

  // Null where it is of an older round.
  Open* open(ClientId client, Round round);
  std::optional<CompressedUpdate> whole(Open& open) const;

  std::uint64_t all_;
  std::map<ClientId, std::uint64_t> links_;
  std::map<ClientId, Open> open_;
};

}  // namespace gossamer
