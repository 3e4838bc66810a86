#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "comms/parcel.h"
#include "comms/topologies/tree.h"
#include "compression/model_codec.h"
#include "core/shard_plan.h"

namespace gossamer {

// The models that the clients of one process hold of streams of differences, one from a server, or from each
// aggregator of a tree: the last two versions of each, whoever of them received these, so that memory does
// not grow with the number of clients, and each version is decoded once. A version is known by what is in it
// (mark_of()), so a difference is never added to a model that it is not a difference to. Safe from any
// thread, and what comes out does not depend on their order.
class ReceivedModels {
 public:
  ReceivedModels(const Options& options, const ShardPlan& plan);

  // The model of these frames, one a shard. A fault where they are malformed, or a difference to a model that
  // is not held here.
  Result<SharedFloats> receive(const Parcel& models);
  // Forgets the versions after this round of the stream that the client listens to: its server has gone back.
  void rewind(ClientId client, Round round);

 private:
  using Source = std::vector<std::pair<std::uint64_t, std::uint64_t>>;  // base and payload of each range
  struct Version {
    Round round = 0;
    SharedFloats values;
    std::vector<std::uint64_t> marks;  // of each range
    std::vector<Source> sources;       // frames that were found to make it
  };

  using Stream = std::vector<Version>;  // by round, the last two

  static Source source_of(const Parcel& models);
  Result<Version> decode(const Parcel& models, const Stream& stream) const;
  static void keep(Version version, Stream& stream);
  Stream& stream_to(ClientId client);

  const ShardPlan plan_;
  std::vector<ModelCodec> codecs_;      // one a shard
  std::unique_ptr<TreePlan> tree_;      // null: all listen to one server
  std::mutex mutex_;                    // guards what follows
  std::map<ClientId, Stream> streams_;  // by who sends them
};

}  // namespace gossamer
