#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "compression/method.h"

namespace gossamer {

// What the methods share that send a few of a piece's floats as they are: the choice of the largest, and the
// payload, which is the indices (sparse_indices.h) and behind them the floats.

// How many of so many floats are that share of them: to the nearest, and at least one.
std::size_t kept_values(double density, std::size_t floats) noexcept;

// Values and where they are, in order. In memory that is another's.
struct SparseFloats {
  std::span<std::uint32_t> indices;
  std::span<float> values;
};

// What choose_largest() works in, and leaves its choice in, for so many floats.
std::size_t choice_bytes(std::size_t floats) noexcept;
// The k values that are the largest in magnitude; of equal ones the first. None where a value is NaN or
// infinite. With `residual` (not null) the values are values + residual, which is where they are left, and
// the chosen ones are set to zero there. 0 < k <= values.size(); `room` is choice_bytes().
std::optional<SparseFloats> choose_largest(std::span<const float> values, float* residual, std::size_t k,
                                           std::span<std::byte> room);

// The same with values that go through the momentum first, and a residual that is not null. Also says whether
// there may be a place that is not chosen where the residual is zero and the velocity is not.
struct ChosenVelocities {
  SparseFloats largest;
  bool cancelled;
};
std::optional<ChosenVelocities> choose_largest(std::span<const float> values, const Momentum& momentum,
                                               float* residual, std::size_t k, std::span<std::byte> room);
// Of a payload of them that is so long.
inline EncodedVelocity encoded_velocity(const ChosenVelocities& chosen, std::size_t bytes) noexcept {
  EncodedVelocity encoded{bytes, {}};
  if (!chosen.cancelled) encoded.settled = chosen.largest.indices;
  return encoded;
}

// The longest payload of k of so many floats.
std::size_t most_sparse_bytes(std::size_t floats, std::size_t k) noexcept;
// Writes the payload of some of so many floats, at least one, and returns its length.
std::size_t write_sparse(const SparseFloats& chosen, std::size_t floats, std::byte* out) noexcept;
// Whether write_sparse() could have written this of k of so many floats, all finite.
bool is_valid_sparse(std::span<const std::byte> payload, std::size_t floats, std::size_t k) noexcept;
// sum += weight * decoded, of a valid payload of k floats.
void add_sparse(std::span<const std::byte> payload, std::size_t k, float weight,
                std::span<float> sum) noexcept;

}  // namespace gossamer
