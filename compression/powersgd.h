// What powersgd.cpp does that both processors and GPUs follow.
#pragma once

#include <cstddef>

namespace gossamer {

// A matrix and the rank of its factors.
struct PowerSgdShape {
  // Work goes by panels: of all rows so many columns that this is what Q has in them. What is summed does not
  // depend on the processor: along a row of a panel in kLanes lanes, and panel by panel; along a column four
  // rows at a time, in blocks of rows, and block by block.
  static constexpr std::size_t kPanelFloats = 8192;
  static constexpr std::size_t kLanes = 16;
  static constexpr std::size_t kTileRows = 4;
  static constexpr std::size_t kTileRanks = 4;
  static constexpr std::size_t kBlockRows = 256;
  // Of a dot product, what is summed in single precision.
  static constexpr std::size_t kNormFloats = 4096;

  std::size_t rows, columns, rank;

  constexpr std::size_t factor_floats() const noexcept { return rank * (rows + columns); }
  constexpr bool factorizes(std::size_t floats) const noexcept {
    return floats == rows * columns && factor_floats() < floats;
  }
  constexpr std::size_t panel_columns() const noexcept { return kPanelFloats / rank / kLanes * kLanes; }
  // The largest magnitude in Q: sums of `rank` products with what is at most 1 are finite.
  constexpr float most() const noexcept { return 0x1p126F / static_cast<float>(rank); }
  // By what a matrix of this largest magnitude is multiplied: of sums of values so large or small as these a
  // float may be too little.
  static constexpr float scale_of(float largest) noexcept {
    return largest > 0x1p60F ? 0x1p-64F : largest < 0x1p-60F ? 0x1p64F : 1.0F;
  }
};

// Columns whose largest magnitude is less count as zeros.
inline constexpr float kLeastColumn = 0x1p-100F;
// So much shorter than it was, a column depends on those before it.
inline constexpr double kDependent = 0x1p-20;

}  // namespace gossamer
