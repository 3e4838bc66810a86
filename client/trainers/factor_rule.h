#pragma once

#include <cstddef>

#include "core/layout.h"
#include "core/options.h"

namespace gossamer {

class Model;

// How peers exchange a dense layer's gradient. The weight gradient of such a layer is a product, delta^T
// input, of what went into the layer (examples x columns) and of the loss's gradient at what came out of it
// (examples x rows). For a small batch these are far fewer floats than rows x columns, and everybody can make
// the product of all peers' examples.
enum class DenseWay {
  gradient,  // it is summed
  factors,   // peers gather the factors of all examples, and each makes the whole product (Xie et al.:
             // "Lighter-communication distributed machine learning via sufficient factor broadcasting", UAI
             // 2016; Zhang et al.: "Poseidon", USENIX ATC 2017, choose it layer by layer, as here)
  rows,  // they gather the factors, each makes its share of the product's rows and its optimizer's step on
         // these, and they gather the weights' rows: nobody multiplies more than its own gradient takes, and
         // about half as much travels as in a sum
};

// `algorithm.sync_sgd.factors`. The rule is the configuration's alone, so that all peers, in all places, come
// to the same answer.
struct FactorRule {
  std::size_t peers = 1;
  std::size_t batch = 0;  // examples of each in a step, at most; 0: gradients travel as they are
  bool shortest = false;  // whatever is the fewest floats

  DenseWay way_of(const TensorSpec& weight) const noexcept;
  // Of a layer that has factors: how many there are to an example, and of all peers.
  static std::size_t width_of(const TensorSpec& weight) noexcept {
    return static_cast<std::size_t>(weight.shape[0] + weight.shape[1]);
  }
  std::size_t table_of(const TensorSpec& weight) const noexcept { return peers * batch * width_of(weight); }
};

FactorRule factor_rule(const Options& options);

// Floats that peers exchange in a step of this model.
struct StepFloats {
  std::size_t summed = 0;
  std::size_t gathered = 0;
};
StepFloats floats_of_step(const Model& model, const FactorRule& rule);

}  // namespace gossamer
