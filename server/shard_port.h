#pragma once

#include <vector>

#include "comms/shard_codec.h"
#include "core/update.h"
#include "server/coordinator.h"

namespace gossamer {

// Where the further shards of a server are, as the one who decides sees them: in this process, or behind a
// transport. Shards are counted from 1, since the first is the one who decides.
class ShardPort {
 public:
  virtual ~ShardPort() = default;

  // Carried out by all of them, in order. Throws RunError where one is lost.
  virtual void tell(const std::vector<ShardOrder>& orders) = 0;
  // Has them serve what this sends, and adds their ranges to it where they are here.
  virtual void serve(SendModel& send) = 0;
  // Their parts of an update, where they come in here. False where one is none.
  virtual bool take(const CompressedUpdate& update) = 0;
  // What each shard answers to these orders, which ask it to show things. Waits for it; throws as tell()
  // does.
  virtual std::vector<std::vector<ShardSection>> show(std::vector<ShardOrder> orders) = 0;
  // Puts one of them back, before anything else.
  virtual void restore(std::size_t shard, std::vector<ShardSection> sections) = 0;
  // Whether one of them is lost, and its range with it.
  virtual bool is_broken() const noexcept = 0;
};

// The orders that this makes.
std::vector<ShardOrder> orders_of(const SendModel& send);

}  // namespace gossamer
