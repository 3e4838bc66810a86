#pragma once

#include <span>

#include "compression/compressor.h"
#include "core/registry.h"

namespace gossamer {

// Turns the updates of one round into one pseudo-gradient. Fed in client order, never in order of arrival,
// so that a sum does not depend on the network. One round: begin(), accumulate() for each update, finish().
class Aggregator {
 public:
  virtual ~Aggregator() = default;
  virtual void begin(std::size_t size) = 0;  // floats an update has
  // Decodes and takes in one update with the given weight (> 0). A malformed one changes nothing.
  virtual Result<std::monostate> accumulate(const Compressed& update, double weight,
                                            const Compressor& compressor) = 0;
  // Requires at least one accumulated update; writes begin()'s size of floats.
  virtual void finish(std::span<float> pseudo_gradient) = 0;
};

// `server.aggregator`.
const Registry<Aggregator>& aggregators();

}  // namespace gossamer
