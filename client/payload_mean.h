#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "client/compressed_mean.h"
#include "core/shard_plan.h"

namespace gossamer {

// A mean of what compressors make of updates, gathered or, along a ring, compressed again at every hop. What
// compression leaves out of a chunk stays with the rank that compressed it, for the next mean.
class PayloadMean final : public CompressedMean {
 public:
  PayloadMean(const Options& options, const ParameterLayout& layout, const Topology& topology, Rank self,
              int world_size, bool reduce_scatter);

  const Routes& routes() const noexcept override { return routes_; }
  void begin(std::span<float> vector, float weight, MessageContext context) override;
  std::size_t most_bytes() const noexcept override { return most_bytes_; }
  SharedBytes outgoing(std::size_t stage, const Send& send) override;
  Result<std::monostate> take(std::size_t stage, const Receive& receive, SharedBytes message) override;
  Result<std::monostate> finish() override;

 private:
  struct Chunk {
    std::unique_ptr<Compressor> compressor;
    std::size_t begin = 0, size = 0;  // of the vector
    std::size_t state = 0;            // where its part of what is left over begins
    float weight = 0;                 // of the mean so far
  };
  struct Content {
    float weight = 0;
    Compressed content;
  };

  bool is_reduce_scatter() const noexcept { return reducing_stages_ > 0; }
  SharedBytes encode(Chunk& chunk);
  static Result<Content> decode(const Chunk& chunk, const SharedBytes& message);
  std::span<float> values_of(const Chunk& chunk) const { return vector_.subspan(chunk.begin, chunk.size); }

  Rank self_;
  std::uint64_t seed_;
  std::vector<Chunk> chunks_;  // gather: one
  Routes routes_;
  std::size_t reducing_stages_ = 0;  // before them a chunk is a mean so far
  std::size_t most_bytes_ = 0;

  std::span<float> vector_;
  MessageContext context_;
  std::optional<Rng> rng_;
  std::vector<SharedBytes> messages_;  // gather: by rank; reduce_scatter: of complete chunks
};

// Whether means so far may be compressed again, and the layout cut into as many chunks.
bool can_recompress_chunks(const Options& options, const ParameterLayout& layout, int world_size);
// Of gather or reduce_scatter.
CompressedMeanCost payload_mean_cost(const Options& options, const ParameterLayout& layout, int world_size,
                                     MeanForm form);

}  // namespace gossamer
