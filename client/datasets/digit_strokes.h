#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/rng.h"

namespace gossamer {

inline constexpr int kDigitSide = 28;
inline constexpr std::size_t kDigitPixels = std::size_t{kDigitSide} * kDigitSide;
inline constexpr int kDigitClasses = 10;

// How one writer forms digits: the shape of each, the slant, the pen. All lengths are in units of a digit's
// height unless they say pixels.
struct WriterStyle {
  static constexpr int kGrid = 4;

  float slant = 0;                           // horizontal shift of the top against the bottom
  float rotation = 0;                        // radians
  float height_px = 20;                      // of an upright digit
  float aspect = 0.7F;                       // width over height
  float pen_px = 1.2F;                       // half the stroke's width
  float ink = 1;                             // grey level of a full stroke, 0 to 1
  float tremor = 0;                          // how much one digit differs from the writer's habit
  std::array<float, kDigitClasses> habit{};  // which of a digit's shapes this writer uses, in [0, 1)
  // The writer's way of bending every stroke: a displacement on a coarse grid over the digit's box.
  std::array<std::array<float, 2>, kGrid * kGrid> bend{};
};

// Draws a writer from the population.
WriterStyle draw_style(Rng& rng);

// Draws one digit of class `digit` (0 to 9) by that writer as 28 x 28 grey bytes, ink 255 on paper 0.
// The same stream gives the same picture.
void draw_digit(int digit, const WriterStyle& style, Rng& rng, std::span<std::uint8_t, kDigitPixels> image);

}  // namespace gossamer
