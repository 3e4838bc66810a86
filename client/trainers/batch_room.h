#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "client/datasets/dataset.h"

namespace gossamer {

// Memory for the examples of one batch after another. Not thread-safe.
class BatchRoom {
 public:
  // Room for so many examples; what was gathered is lost. Memory is kept where it is enough.
  void allocate(const ExampleShape& shape, std::int64_t examples);
  // Writes these examples, at most as many as there is room for, over the last ones.
  void gather(const ExampleSet& examples, std::span<const std::int64_t> indices);
  // Views of what was gathered: [examples, shape...] and [examples * labels].
  const at::Tensor& features() const noexcept { return features_; }
  const at::Tensor& labels() const noexcept { return labels_; }

 private:
  ExampleShape shape_;
  at::Tensor feature_room_, label_room_;
  at::Tensor features_, labels_;
  std::int64_t gathered_ = -1;  // examples in the views
};

}  // namespace gossamer
