#pragma once

#include <memory>
#include <span>
#include <variant>

#include "comms/collectives/message_exchange.h"
#include "comms/topologies/topology.h"
#include "compression/compressor.h"

namespace gossamer {

// How updates are averaged that travel compressed among peers (compression.all_reduce).
enum class MeanForm {
  gather,  // every rank compresses its update once; all get all, and add them in the order of the ranks
  reduce_scatter,  // along a ring: each chunk's mean so far is compressed again at every hop, and once
                   // complete
  shared_scaler,   // TernGrad: sums of whole numbers, in units that all have agreed on
};
const char* name_of(MeanForm form) noexcept;

// One peer's part of the weighted mean of updates that travel as compression.up says; every rank ends with
// the same bits. Arithmetic only; a MessageExchange, or exchange_in_process(), moves the bytes.
class CompressedMean : public MessageHandler {
 public:
  virtual const Routes& routes() const noexcept = 0;
  // The vector belongs to the mean until finish(), and takes part in it with the weight, which is not
  // negative; the context's round names its random bits. Throws RunError where a value is NaN or infinite,
  // with the name of its tensor, if not later when it is sent.
  virtual void begin(std::span<float> vector, float weight, MessageContext context) = 0;
  // When all messages have been taken: the vector is the mean; zeros where all weights are.
  virtual Result<std::monostate> finish() = 0;

  // The model of its rank with what compression has left out so far, which the next mean takes up, behind it;
  // and back again: `malformed` where that is not as long as another such mean would have written.
  SharedFloats with_leftovers(std::span<const float> model) const;
  Result<std::monostate> restore_leftovers(std::span<const float> model_and_leftovers);

 protected:
  // For vectors of so many floats.
  explicit CompressedMean(std::size_t floats) : floats_(floats) {}
  // So many floats are left over from one mean to the next, zeros before the first.
  void keep_leftovers(std::size_t floats) { leftovers_.assign(floats, 0.0F); }
  std::span<float> leftovers() noexcept { return leftovers_; }

 private:
  std::size_t floats_;
  FloatBuffer leftovers_;
};

// gather or reduce_scatter, whichever sends fewer bytes, unless compression.all_reduce says which form.
// Throws ConfigError where that is impossible.
MeanForm form_of_compressed_mean(const Options& options, const ParameterLayout& layout,
                                 const Topology& topology, int world_size);

// Of vectors of this layout. Throws std::logic_error where the topology is no all-reduce, ConfigError like
// form_of_compressed_mean().
std::unique_ptr<CompressedMean> make_compressed_mean(const Options& options, const ParameterLayout& layout,
                                                     const Topology& topology, Rank self, int world_size);

// The form that a mean takes, and what all ranks together send in one, with prefixes. Throws like
// form_of_compressed_mean().
struct CompressedMeanCost {
  MeanForm form = MeanForm::gather;
  std::size_t bytes = 0;
  bool known = true;  // otherwise at most so many
};
CompressedMeanCost cost_of_compressed_mean(const Options& options, const ParameterLayout& layout,
                                           const Topology& topology, int world_size);

// Along which its messages go.
Routes routes_of_compressed_mean(const Topology& topology, Rank self, int world_size, MeanForm form);

}  // namespace gossamer
