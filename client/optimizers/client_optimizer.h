#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "core/registry.h"

namespace gossamer {

// A step that is nothing but w <- keep * w - rate * g, which a trainer may fold into computing g.
struct PlainDescent {
  float keep;
  float rate;
};

// How a client turns gradients into steps. The formulas, defaults and order of operations are those of
// torch.optim. State is allocated once, for the whole flat parameter vector. Not thread-safe.
class ClientOptimizer {
 public:
  virtual ~ClientOptimizer() = default;

  // Forgets all earlier steps; comes before the first one. Clients start every round afresh.
  virtual void reset() {}
  // Opens the next step, in which every tensor is given to step() once.
  virtual void begin_step() {}
  // Updates the part `w` of the flat parameters, which begins at `offset`, by its gradient. Requires
  // g.size() == w.size() and that the part lies within the parameter_count that the optimizer was made for.
  virtual void step(std::span<float> w, std::span<const float> g, std::size_t offset) = 0;
  // What step() does, where it is a plain descent that keeps no state.
  virtual std::optional<PlainDescent> plain_descent() const { return std::nullopt; }
};

// `client.optimizer`; the context is the number of trained parameters.
const Registry<ClientOptimizer, std::size_t>& client_optimizers();

}  // namespace gossamer
