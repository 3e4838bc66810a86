#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "comms/collectives/message_exchange.h"
#include "comms/topologies/topology.h"
#include "compression/compressor.h"
#include "core/shard_plan.h"

namespace gossamer {

// One peer's part of the weighted mean of updates that travel as compression.up says; every rank ends with
// the same bits. In one of two forms (compression.all_reduce):
//   gather          every rank compresses its update, once; all get all, and add them in the order of the
//                   ranks.
//   reduce_scatter  along a ring: each chunk's mean so far is compressed again at every hop, and at last,
//                   when it is complete, once for all.
// What compression leaves out of a chunk stays with the rank that compressed it, for the next mean.
// Arithmetic only; a MessageExchange, or exchange_in_process(), moves the bytes.
class CompressedMean final : public MessageHandler {
 public:
  // Of vectors of this layout. Throws std::logic_error where the topology is no all-reduce, ConfigError like
  // cost_of_compressed_mean().
  CompressedMean(const Options& options, const ParameterLayout& layout, const Topology& topology, Rank self,
                 int world_size);

  const Routes& routes() const noexcept { return routes_; }
  bool is_reduce_scatter() const noexcept { return reducing_stages_ > 0; }

  // The vector belongs to the mean until finish(), and takes part in it with the weight, which is not
  // negative; the context's round names its random bits.
  void begin(std::span<float> vector, float weight, MessageContext context);
  std::size_t most_bytes() const noexcept override { return most_bytes_; }
  SharedBytes outgoing(std::size_t stage, const Send& send) override;
  Result<std::monostate> take(std::size_t stage, const Receive& receive, SharedBytes message) override;
  // When all messages have been taken: the vector is the mean; zeros where all weights are.
  Result<std::monostate> finish();

  // The model of its rank with what has been left out so far, which the next mean takes up, behind it; and
  // back again: `malformed` where that is not as long as another such mean would have written.
  SharedFloats with_leftovers(std::span<const float> model) const;
  Result<std::monostate> restore_leftovers(std::span<const float> model_and_leftovers);

 private:
  struct Chunk {
    std::unique_ptr<Compressor> compressor;
    std::size_t begin = 0, size = 0;  // of the vector
    std::size_t state = 0;            // where its part of the state begins
    float weight = 0;                 // of the mean so far
  };
  struct Content {
    float weight = 0;
    Compressed content;
  };

  SharedBytes encode(Chunk& chunk);
  static Result<Content> decode(const Chunk& chunk, const SharedBytes& message);
  std::span<float> values_of(const Chunk& chunk) const { return vector_.subspan(chunk.begin, chunk.size); }

  Rank self_;
  std::uint64_t seed_;
  std::vector<Chunk> chunks_;  // gather: one
  FloatBuffer state_;
  Routes routes_;
  std::size_t reducing_stages_ = 0;  // before them a chunk is a mean so far
  std::size_t most_bytes_ = 0;

  std::span<float> vector_;
  float weight_ = 0;
  MessageContext context_;
  std::optional<Rng> rng_;
  std::vector<SharedBytes> messages_;  // gather: by rank; reduce_scatter: of complete chunks
};

// The form that a mean takes, and what all ranks together send in one, with prefixes.
struct CompressedMeanCost {
  bool reduce_scatter = false;
  std::size_t bytes = 0;
  bool known = true;  // otherwise at most so many
};
// The cheaper form, unless compression.all_reduce says which. Throws ConfigError where that is impossible.
CompressedMeanCost cost_of_compressed_mean(const Options& options, const ParameterLayout& layout,
                                           const Topology& topology, int world_size);

// Along which its messages go.
Routes routes_of_compressed_mean(const Topology& topology, Rank self, int world_size, bool reduce_scatter);

}  // namespace gossamer
