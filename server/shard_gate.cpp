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
  if (round > open.round) open = {round, 0, true, std::nullopt};
  return &open;
}

std::optional<CompressedUpdate> ShardGate::part(std::size_t shard, ClientId client, Round round, bool well) {
  Open* const found = open(client, round);
  if (found == nullptr) return std::nullopt;
  found->here |= bit(shard);
  found->well = found->well && well;
  return whole(*found);
}

std::optional<CompressedUpdate> ShardGate::part(const CompressedUpdate& first) {
  Open* const found = open(first.info.client, first.info.round);
  if (found == nullptr) return std::nullopt;
  found->here |= bit(0);
  found->first = first;
  return whole(*found);
}

std::optional<CompressedUpdate> ShardGate::whole(Open& open) const {
  if (open.here != all_) return std::nullopt;
  CompressedUpdate update = std::move(*open.first);
  if (!open.well) update.content = {};
  open = {open.round, 0, true, std::nullopt};
  return update;
}

}  // namespace gossamer
