#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "client/datasets/dataset.h"
#include "client/trainers/batch_room.h"

namespace gossamer {

// Fills the words with uniform random bits. For a guarantee they have to be secret.
using RandomWords = std::function<void(std::span<std::uint64_t>)>;

// The lots of DP-SGD as its accountants assume them: in each, every example with probability q, whatever the
// other examples and lots do. So a lot's size varies, and it may be empty. Memory is kept between clients.
// Not thread-safe.
class PoissonLots {
 public:
  // A part of a lot, views into memory that the next part overwrites: features [examples, shape...], labels
  // [examples * labels].
  struct Part {
    at::Tensor features, labels;
    std::int64_t examples = 0;
  };

  // Parts have at most so many examples. Requires parts > 0.
  explicit PoissonLots(std::int64_t largest_part) : largest_part_(largest_part) {}

  // Requires 0 < q <= 1. The probability of an example is q rounded down to a multiple of 2^-64.
  void start(std::shared_ptr<const ExampleSet> examples, double q, RandomWords random);
  // Draws the next lot and returns its size. What is left of the last one is dropped.
  std::int64_t draw();
  // The next part of the lot; null after the last one.
  std::optional<Part> next();

 private:
  std::int64_t largest_part_;
  std::shared_ptr<const ExampleSet> examples_;
  double q_ = 1;
  RandomWords random_;
  std::vector<std::uint64_t> words_;
  std::vector<std::int64_t> lot_;  // indices
  std::size_t given_ = 0;          // of the lot
  BatchRoom room_;
};

}  // namespace gossamer
