#pragma once

#include <cstdint>
#include <span>

namespace gossamer {

// TernGrad's arithmetic for workers that share a scaler (terngrad.cpp): what each sends of a value is -1, 0
// or 1 times it, so that sums of it are whole numbers.

// How far from zero values are where those beyond `clip` standard deviations (0: none) are clipped; negative
// where one is NaN or infinite.
float ternary_bound(std::span<const float> values, double clip);

// Of each value, clipped to the bound, its sign with the probability |value| * share, or 0. bound * share is
// at most 1; `key` names the stream of random bits (lanes-inl.h).
void draw_ternary(std::span<const float> values, float bound, float share, std::uint64_t key,
                  std::span<std::int16_t> numbers);

}  // namespace gossamer
