#pragma once

#include <span>
#include <vector>

#include "core/buffers.h"
#include "core/registry.h"

namespace gossamer {

// Moves the model along the pseudo-gradient (the mean update, so it is added, not subtracted). Works on the
// trained parameters only; batch-norm statistics are averaged, never optimised.
// Reddi et al., Adaptive federated optimization, 2020.
class ServerOptimizer {
 public:
  virtual ~ServerOptimizer() = default;
  // Whether each float of the result follows from the same float of what goes in, so that shards of a server
  // can work on ranges. Says no where nobody thought of it.
  virtual bool is_elementwise() const noexcept { return false; }
  // model.size() == pseudo_gradient.size(), the same at every call.
  virtual void step(std::span<float> model, std::span<const float> pseudo_gradient) = 0;
  // The moments, in a fixed order, for checkpoints: a float for each parameter, or a single one for all.
  // Empty before the first step of a stateful optimizer.
  virtual std::vector<FloatBuffer>& state() = 0;
};

// `server.optimizer`.
const Registry<ServerOptimizer>& server_optimizers();

}  // namespace gossamer
