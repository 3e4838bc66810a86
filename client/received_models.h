#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "comms/parcel.h"
#include "compression/model_codec.h"
#include "core/shard_plan.h"

namespace gossamer {

// The models that the clients of one process hold of a stream of differences: the last two versions, whoever
// of them received these, so that memory does not grow with the number of clients, and each version is
// decoded once. A version is known by what is in it (mark_of()), so a difference is never added to a model
// that it is not a difference to. Safe from any thread, and what comes out does not depend on their order.
class ReceivedModels {
 public:
  ReceivedModels(const Options& options, const ShardPlan& plan);

  // The model of these frames, one a shard. A fault where they are malformed, or a difference to a model that
  // is not held here.
  Result<SharedFloats> receive(const Parcel& models);
  // Forgets the versions after this round: the server has gone back.
  void rewind(Round round);

 private:
  using Source = std::vector<std::pair<std::uint64_t, std::uint64_t>>;  // base and payload of each range
  struct Version {
    Round round = 0;
    SharedFloats values;
    std::vector<std::uint64_t> marks;  // of each range
    std::vector<Source> sources;       // frames that were found to make it
  };

  static Source source_of(const Parcel& models);
  Result<Version> decode(const Parcel& models) const;
  const Version* base_of_range(std::size_t shard, std::uint64_t mark) const;
  void keep(Version version);

  const ShardPlan plan_;
  std::vector<ModelCodec> codecs_;  // one a shard
  std::mutex mutex_;                // guards what follows
  std::vector<Version> versions_;   // by round, the last two
};

}  // namespace gossamer
