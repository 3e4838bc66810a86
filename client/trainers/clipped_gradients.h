#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "client/trainers/clipped_lot.h"
#include "core/model.h"

namespace gossamer {

// What a sum of clipped gradients was made of. Not private: it stays with the client.
struct ClippedSum {
  float loss = 0;               // mean over the examples that count, 0 where there are none
  std::int64_t not_finite = 0;  // examples whose gradient was not finite; these count as 0
};

// Sums of single examples' gradients, each clipped before it is added (Abadi et al.: "Deep learning with
// differential privacy", CCS 2016): sum_i g_i min(1, C / |g_i|), where g_i is the gradient of example i's
// loss, the mean over its labels. So no example moves the sum by more than C. Norms are Euclidean, summed in
// double precision; factors are rounded to floats. Not thread-safe.
//
// An example is clipped as a whole, or each layer by itself: parameters whose names agree up to the last dot
// are a layer.
class ClippedGradients {
 public:
  virtual ~ClippedGradients() = default;

  // Layers that can be clipped by themselves.
  std::size_t layers() const noexcept { return ends_.size(); }
  // Trained floats, which a sum has.
  std::size_t parameters() const noexcept { return ends_.empty() ? 0 : ends_.back(); }
  // Whether examples are taken one after another, at many times the cost of a plain step.
  virtual bool one_by_one() const noexcept { return false; }

  // The sum of the examples' clipped gradients at the model's current values replaces `sum`, or is added to
  // it: model.layout()->parameter_count() floats. `bounds` is C for the whole gradient, or one for each of
  // layers(). An example with a gradient that is not finite in any of them adds nothing. A batch without
  // examples adds nothing. `norms`, where not empty, gets the norm of each example's gradient before it is
  // clipped, for bounds.size() * examples: bound after bound.
  // Requires positive bounds (infinite ones clip nothing). Throws std::out_of_range for a label that is no
  // class.
  ClippedSum compute(const at::Tensor& features, const at::Tensor& labels, std::span<const double> bounds,
                     bool add, std::span<float> sum, std::span<double> norms = {});
  // The same, into the lot, by its bounds. Requires a lot of parameters().
  void add_to(ClippedLot& lot, const at::Tensor& features, const at::Tensor& labels);

 protected:
  // `largest_part`: how many examples compute_part() takes at once.
  ClippedGradients(Model& model, std::int64_t largest_part);

  // compute() of at most so many examples, and at least one. Fills `norms`.
  virtual ClippedSum compute_part(const at::Tensor& features, const at::Tensor& labels,
                                  std::span<const double> bounds, bool add, std::span<float> sum,
                                  std::span<double> norms) = 0;

  // The bound that holds for a parameter, when there are so many.
  std::size_t bound_of(std::size_t offset, std::size_t bounds) const;
  // Turns squared norms of so many examples into norms, and says what to multiply their gradients by: 0 for
  // one that is not finite, whose number is added to `bad`.
  static void make_factors(std::span<const double> bounds, std::span<double> norms, std::span<float> factors,
                           std::vector<std::int64_t>& bad);

  Model& model_;

 private:
  std::int64_t largest_part_;
  std::vector<std::size_t> ends_;  // of each layer's parameters in the flat vector
  std::vector<double> norms_;      // of a part
};

// The fastest way for this model: layer by layer for our own models, one example after another for any other.
// Throws ConfigError for a model with batch norm, which mixes the examples of a batch.
std::unique_ptr<ClippedGradients> make_clipped_gradients(Model& model);
// By the gradients of batches of one example. compute() throws RunError where an example changes the model's
// buffers, which would let something out of it unclipped.
std::unique_ptr<ClippedGradients> make_one_by_one_gradients(Model& model);

}  // namespace gossamer
