#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer {

// A tensor as the matrix that methods factorise: the first dimension by all others (of a convolution the
// filters, of a linear layer the outputs). A tensor of one dimension, and a part of one that a shard has, is
// no matrix: 0 by 0.
struct MatrixShape {
  MatrixShape() = default;
  explicit MatrixShape(std::span<const std::int64_t> shape) {
    if (shape.size() < 2) return;
    rows = static_cast<std::size_t>(shape[0]);
    columns = 1;
    for (const std::int64_t extent : shape.subspan(1)) columns *= static_cast<std::size_t>(extent);
  }
  std::size_t floats() const noexcept { return rows * columns; }

  std::size_t rows = 0, columns = 0;
};

}  // namespace gossamer
