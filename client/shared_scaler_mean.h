#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "client/compressed_mean.h"
#include "core/layout.h"

namespace gossamer {

// TernGrad's mean with a scaler that all workers share (Wen, Xu, Yan, Wu, Wang, Chen, Li: "TernGrad: ternary
// gradients to reduce communication in distributed deep learning", NIPS 2017): all ranks tell each other
// their weights and, of each tensor, where they clip it. Each then draws, of its share of the mean, -1, 0 or
// 1 times the largest of these, and the chunks of the numbers' sums go around the ring, exactly, by as many
// bits as sums of so many ranks may need. What travels as it is goes with them in floats.
class SharedScalerMean final : public CompressedMean {
 public:
  SharedScalerMean(const Options& options, const ParameterLayout& layout, const Topology& topology, Rank self,
                   int world_size);

  const Routes& routes() const noexcept override { return routes_; }
  void begin(std::span<float> vector, float weight, MessageContext context) override;
  std::size_t most_bytes() const noexcept override;
  SharedBytes outgoing(std::size_t stage, const Send& send) override;
  Result<std::monostate> take(std::size_t stage, const Receive& receive, SharedBytes message) override;
  Result<std::monostate> finish() override;

 private:
  // The numbers and the floats of a chunk, in their vectors.
  struct Chunk {
    std::span<std::int16_t> numbers;
    std::span<float> floats;
  };

  bool is_about_scalers(std::size_t stage) const noexcept { return stage < gather_stages_; }
  Chunk chunk(int number) noexcept;
  // When all ranks' weights and bounds are there: the unit of each tensor, and its numbers.
  void draw();
  SharedBytes encode(int number);
  Result<std::monostate> take_statistic(std::size_t rank, const SharedBytes& message);

  Rank self_;
  std::uint64_t seed_;
  double clip_;
  std::vector<TensorSpec> ternary_, dense_;
  Routes routes_;
  std::size_t gather_stages_;  // before those in which sums go around

  std::span<float> vector_;
  std::uint64_t key_ = 0;                       // of the first tensor's draws
  std::vector<std::vector<float>> statistics_;  // by rank: its weight, and of each ternary tensor its bound
  bool has_drawn_ = false;
  std::vector<float> units_;             // of each ternary tensor
  std::vector<std::int16_t> numbers_;    // of all ternary tensors, one behind the other
  FloatBuffer floats_;                   // of all others
  std::vector<std::uint32_t> summands_;  // by chunk: how many ranks' are in it
  std::vector<SharedBytes> complete_;    // by chunk
};

// Whether the layout's updates are drawn without a residual, by as many ranks.
bool can_share_scalers(const Options& options, const ParameterLayout& layout, int world_size);
CompressedMeanCost shared_scaler_cost(const Options& options, const ParameterLayout& layout,
                                      const Topology& topology, int world_size);

}  // namespace gossamer
