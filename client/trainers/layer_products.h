#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "client/trainers/example_kernels.h"
#include "core/buffers.h"
#include "core/model.h"

namespace gossamer {

// The gradients of one layer's weight and bias for each example of a batch, as far as clipping needs them:
// their squared norms and their weighted sum.
//
// An example's weight gradient is delta * input^T, with as many columns as it has positions L: rows of a
// sequence, places of a convolution. Its norm costs little where L = 1 (|delta|^2 |input|^2; Goodfellow:
// "Efficient per-example gradient computations", 2015), or where L is small beside the weight (the Gram
// matrices' scalar product, <delta^T delta, input^T input>; Li, Tramer, Liang, Hashimoto: "Large language
// models can be strong differentially private learners", ICLR 2022): then the sum is one product over the
// whole batch. Elsewhere each example's gradient is computed and kept, and the sum needs no product any more.
// Memory is kept between batches. Not thread-safe.
class LayerProducts {
 public:
  // Takes up the layer's part of a batch of so many examples. Requires trace.delta; it and trace.input are
  // held until the next batch, and not changed.
  void take(const LayerTrace& trace, std::int64_t examples);
  // squares[i] += |gradient of example i|^2, over weight and bias. Not finite where that is not.
  void add_squares(std::span<double> squares);
  // These examples' gradients are 0 from now on, whatever they are made of.
  void forget(std::span<const std::int64_t> examples);
  // The sum of the examples' gradients times their factors replaces weight and bias, or is added to them.
  // Ends the work on this batch. Requires finite gradients where not forgotten. `bias` is empty for an
  // embedding.
  void add_to(std::span<const float> factors, bool add, std::span<float> weight, std::span<float> bias);

 private:
  enum class Way { outer, gram, stored, table };
  // Of one example: input [in, L], delta [out, L].
  struct Factors {
    at::Tensor input, delta;
  };
  Way choose() const;
  Factors factors_of(std::int64_t example);
  void add_outer_squares(std::span<double> squares);
  void add_gram_squares(std::span<double> squares);
  void add_stored_squares(std::span<double> squares);
  void add_table_squares(std::span<double> squares);
  void add_bias_squares(std::span<double> squares);
  at::Tensor scaled_delta(std::span<const float> factors);
  void add_rows_times(std::span<float> rows, std::span<const float> factors, bool add, std::span<float> sum);
  void add_product(const at::Tensor& delta, bool add, std::span<float> weight);
  void add_table(std::span<const float> factors, bool add, std::span<float> weight);

  LayerTrace trace_{};
  Way way_ = Way::outer;
  bool convolution_ = false;
  std::int64_t examples_ = 0, positions_ = 1;  // L
  std::int64_t in_ = 0, out_ = 0;              // the weight's columns and rows
  Patches patches_{};

  FloatBuffer padded_, matrix_;     // of unfold()
  FloatBuffer stored_, bias_;       // the examples' gradients, one a row
  FloatBuffer scaled_, table_;      // deltas times factors; a weight gradient of one example
  std::vector<double> row_, row2_;  // one number an example
};

}  // namespace gossamer
