#include "server/shard_gate.h"

#include <utility>

namespace gossamer {
namespace {

std::uint64_t bit(std::size_t shard) { return std::uint64_t{1} << shard; }

}  // namespace

bool ShardGate::link(ClientId client, std::size_t shard) {
  std::uint64_t& links = links_[client];
  links |= bit(shard);
  return links == all_;
}

bool ShardGate::unlink(ClientId client, std::size_t shard) {
  std::uint64_t& links = links_[client];
  const bool had_all = links == all_;
  links &= ~bit(shard);
  return had_all;
}

bool ShardGate::has_link(ClientId client, std::size_t shard) const {
  const auto links = links_.find(client);
  return links != links_.end() && (links->second & bit(shard)) != 0;
}

ShardGate::Open* ShardGate::open(ClientId client, Round round) {
  Open& open = open_[client];
  if (round < open.round) return nullptr;
  if (round > open.round) open = {round, 0, 0, std::nullopt};
  return &open;
}

std::optional<CompressedUpdate> ShardGate::part(std::size_t shard, ClientId client, Round round, bool well) {
  Open* const found = open(client, round);
  if (found == nullptr) return std::nullopt;
  found->here |= bit(shard);
  // What a shard says last counts.
  found->bad = well ? found->bad & ~bit(shard) : found->bad | bit(shard);
  return whole(*found);
}

std::optional<CompressedUpdate> ShardGate::part(const CompressedUpdate& first) {
  Open* const found = open(first.info.client, first.info.round);
  if (found == nullptr) return std::nullopt;
  found->here |= bit(0);
  found->first = first;
  return whole(*found);
}

bool ShardGate::is_open(ClientId client) const {
  const auto open = open_.find(client);
  return open != open_.end() && open->second.first.has_value();
}

std::optional<CompressedUpdate> ShardGate::whole(Open& open) const {
  if (open.here != all_) return std::nullopt;
  CompressedUpdate update = std::move(*open.first);
  if (open.bad != 0) update.content = {};
  open = {open.round, 0, 0, std::nullopt};
  return update;
}

}  // namespace gossamer
