#pragma once

#include <cstddef>
#include <span>

namespace gossamer {

// Loops over the examples of a batch that no BLAS has. Matrices are row-major and dense.

// squares[i] = |row i|^2, summed in double precision, for squares.size() rows.
void row_squares(std::span<const float> matrix, std::span<double> squares);
// Every example's rows times its factor; there are as many rows an example.
void scale_rows(std::span<const float> matrix, std::span<const float> factors, std::span<float> scaled);

// The patches of an image [channels, height, width] that a convolution reads.
struct Patches {
  std::size_t channels, height, width;
  std::size_t kernel, padding, stride;

  std::size_t padded_width() const noexcept { return width + 2 * padding; }
  std::size_t columns() const noexcept { return (padded_width() - kernel) / stride + 1; }
  std::size_t rows() const noexcept { return (height + 2 * padding - kernel) / stride + 1; }
  std::size_t positions() const noexcept { return rows() * columns(); }
  std::size_t size() const noexcept { return channels * kernel * kernel; }
  // Floats of what unfold() writes: the image with its border, and the matrix; both with room behind, since
  // rows are copied in whole vectors.
  static constexpr std::size_t kRoom = 16;
  std::size_t padded_floats() const noexcept {
    return channels * (height + 2 * padding) * padded_width() + kRoom;
  }
  std::size_t matrix_floats() const noexcept { return size() * positions() + kRoom; }
};
// matrix [size(), positions()]: a patch a column, its floats in the order of a weight [out, channels, kernel,
// kernel]. Requires spans of image, padded_floats() and matrix_floats() floats.
void unfold(std::span<const float> image, const Patches& patches, std::span<float> padded,
            std::span<float> matrix);

}  // namespace gossamer
