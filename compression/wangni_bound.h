// The search for the bound of wangni.cpp, which both processors and GPUs follow.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace gossamer {

// The magnitudes on the two sides of a bound.
struct MagnitudeSplit {
  double below = 0;         // the sum of those below it
  std::uint64_t above = 0;  // how many are not: at an infinite bound, those that are NaN or infinite
};

// Sums are of 4,096 values each, in 16 lanes, and those in 64 more.
inline constexpr std::size_t kSplitFloats = 4096;
inline constexpr std::size_t kSplitLanes = 16;
inline constexpr std::size_t kSplitTotals = 64;

// 1 / lambda. It falls, and the certain values get more, until these are the ones that it was computed for.
struct BoundSearch {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

  // Begins at an infinite bound.
  float bound = std::numeric_limits<float>::infinity();
  std::uint64_t certain = kNone;
  std::uint32_t found = 0;

  // Of n values, as many as are to travel on average.
  static constexpr double kept_of(double density, std::size_t n) {
    const auto all = static_cast<double>(n);
    const double kept = density * all;
    return kept < 1 ? 1 : kept > all ? all : kept;
  }

  // Takes what there is on the two sides of the bound, and finds the next one, or that there is none. At a
  // density of 1 all travel that are not zero; where all are zeros the bound is 0.
  constexpr void take(MagnitudeSplit now, double density, double kept) {
    const bool first = certain == kNone;
    const auto above = static_cast<double>(now.above);
    if (first && now.below == 0) bound = 0;
    if (now.above == certain || now.below == 0 || above >= kept) {
      found = 1;
      return;
    }
    constexpr float kLeast = std::numeric_limits<float>::denorm_min();
    auto next = density == 1 ? kLeast : static_cast<float>(now.below / (kept - above));
    if (next < kLeast) next = kLeast;
    if (density == 1 || !(next < bound)) found = 1;
    if (next < bound) bound = next;
    certain = now.above;
  }
};

}  // namespace gossamer
