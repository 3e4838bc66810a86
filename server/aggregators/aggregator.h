#pragma once

#include <optional>
#include <span>

#include "compression/compressor.h"
#include "core/registry.h"

namespace gossamer {

// Turns updates into one pseudo-gradient: begin(), accumulate() for each update, finish(). In lockstep it is
// fed in client order, never in order of arrival, so that a sum does not depend on the network.
class Aggregator {
 public:
  virtual ~Aggregator() = default;
  // Whether each float of the result follows from the same float of what goes in, so that shards of a server
  // can work on ranges. Says no where nobody thought of it.
  virtual bool is_elementwise() const noexcept { return false; }
  virtual void begin(std::size_t size) = 0;  // floats an update has
  // Decodes and takes in one update with the given weight (> 0). A malformed one changes nothing.
  virtual Result<std::monostate> accumulate(const Compressed& update, double weight,
                                            const Compressor& compressor) = 0;
  // The same for an update that is decoded already; begin()'s size of floats.
  virtual void accumulate(std::span<const float> update, double weight) = 0;
  // Requires at least one accumulated update; writes begin()'s size of floats. A mean divides by the sum of
  // the weights, or by `denominator`.
  virtual void finish(std::span<float> pseudo_gradient, std::optional<double> denominator) = 0;
};

// `server.aggregator`.
const Registry<Aggregator>& aggregators();

}  // namespace gossamer
