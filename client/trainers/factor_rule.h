#pragma once

#include <cstddef>

#include "core/layout.h"
#include "core/options.h"

namespace gossamer {

class Model;

// When peers exchange a dense layer's gradient as its factors. The weight gradient of such a layer is a
// product, delta^T input, of what went into the layer (examples x columns) and of the loss's gradient at what
// came out of it (examples x rows). For a small batch these are far fewer floats than rows x columns, and
// everybody can make the product of all peers' examples (Xie et al.: "Lighter-communication distributed
// machine learning via sufficient factor broadcasting", UAI 2016; Zhang et al.: "Poseidon", USENIX ATC 2017,
// choose it layer by layer, as here). `algorithm.sync_sgd.factors`: the rule is the configuration's alone, so
// that all peers, in all places, come to the same answer.
struct FactorRule {
  std::size_t examples = 0;       // of all peers in a step, at most; 0: gradients travel as they are
  std::size_t times_shorter = 1;  // the factors have to be more than so many times shorter than the gradient

  bool holds(const TensorSpec& weight) const noexcept;
  // Floats that are summed for this tensor of a plain stack.
  std::size_t floats_of(const TensorSpec& tensor) const noexcept;
};

FactorRule factor_rule(const Options& options);

// Floats that peers sum in a step of this model.
std::size_t floats_of_step(const Model& model, const FactorRule& rule);

}  // namespace gossamer
