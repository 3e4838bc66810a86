// What low_rank.cpp does that both processors and GPUs follow.
#pragma once

#include <cstddef>
#include <cstdint>

#include "compression/random_subset.h"

namespace gossamer {

// A matrix and the rank of its factors.
struct LowRankShape {
  // Of B, in the columns that are multiplied by one scale; on a processor what is worked on in its first
  // cache.
  static constexpr std::size_t kPanelFloats = 8192;

  std::size_t rows, columns, rank;

  constexpr std::size_t factor_bytes() const noexcept {
    return sizeof(std::uint64_t) + rank * columns * sizeof(float);
  }
  constexpr bool factorizes(std::size_t floats) const noexcept {
    return floats == rows * columns && factor_bytes() < floats * sizeof(float);
  }
  constexpr std::size_t panel_columns() const noexcept { return kPanelFloats / rank; }
  // Rows whose sums are added up before they are added to those of the rows before them: about 64 of each
  // column of A.
  constexpr std::size_t block_rows() const noexcept { return 64 * rank; }
};

// By what panels are multiplied whose sums are too large for a float.
inline constexpr float kLowRankScale = 0x1p-40F;

// The random matrix A of a seed: one number in each row, 1 or -1.
class SignMatrix {
 public:
  constexpr SignMatrix(std::size_t rows, std::size_t rank, std::uint64_t seed) noexcept
      : rows_(rows), rank_(rank), seed_(seed), place_(rows, seed) {}

  // Where it is.
  constexpr std::size_t column(std::size_t row) const noexcept { return place_(row) % rank_; }
  constexpr bool is_negative(std::size_t row) const noexcept {
    return mixed_bits(seed_ ^ 0x9E3779B97F4A7C15U * (row + 1)) >> 63U != 0;
  }
  constexpr float sign(std::size_t row) const noexcept { return is_negative(row) ? -1.0F : 1.0F; }
  constexpr std::size_t rows_of(std::size_t column) const noexcept {
    return rows_ / rank_ + (column < rows_ % rank_ ? 1 : 0);
  }

 private:
  std::size_t rows_, rank_;
  std::uint64_t seed_;
  Permutation place_;
};

}  // namespace gossamer
