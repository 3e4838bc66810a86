#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "comms/topologies/tree.h"
#include "core/options.h"
#include "core/types.h"
#include "server/tree_coordinator.h"

namespace gossamer {

// The one line of a virtual server, which its clients share: transfers take it in turn, each way by itself.
// They are to be given in the order in which they begin.
class SharedLine {
 public:
  // `bytes_per_s`: of each way; 0: no limit.
  explicit SharedLine(double bytes_per_s) : rate_(bytes_per_s) {}

  bool limited() const noexcept { return rate_ > 0; }
  // When what wants to leave at `now` begins to, and when the last of it has left.
  struct Turn {
    Seconds begin, end;
  };
  Turn send(std::size_t bytes, Seconds now) { return take(out_free_, bytes, now); }
  // When the last of what begins to come in at `now` is in.
  Turn receive(std::size_t bytes, Seconds now) { return take(in_free_, bytes, now); }

 private:
  Turn take(Seconds& free, std::size_t bytes, Seconds now) const {
    if (!limited()) return {now, now};
    const Seconds begin = std::max(now, free);
    free = begin + static_cast<double>(bytes) / rate_;
    return {begin, free};
  }

  double rate_;
  Seconds out_free_ = 0, in_free_ = 0;
};

// The lines of a run: the server's, or that of each of its shards, or that of each inner node of a tree.
class SharedLines {
 public:
  explicit SharedLines(const Options& options);

  bool limited() const noexcept { return lines_.front().limited(); }
  // That of the parent of a client, or of an aggregator.
  SharedLine& above(ClientId child);
  // Where clients are right below a server.
  SharedLine& of_shard(std::size_t shard) { return lines_[shard]; }

 private:
  std::unique_ptr<TreePlan> plan_;  // null: one server
  std::vector<SharedLine> lines_;   // the root's, then those of the aggregators; or the shards'
};

// What the links between the aggregators of a tree take: that of an aggregator is like a client's with its
// id, but for network.upper_*, and shares its parent's line with others.
LinkTimes link_times(const Options& options);

}  // namespace gossamer
