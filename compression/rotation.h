#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// Floats that are rotated together; fewer are a power of two, at least kLeastRotation.
inline constexpr std::size_t kMostRotation = 4096;
inline constexpr std::size_t kLeastRotation = 256;
// The signs of a block are bits of a chunk far beyond those that values take.
inline constexpr std::uint64_t kFirstSigns = std::uint64_t{1} << 48U;

// The randomised Hadamard transform (Ailon, Chazelle: "The fast Johnson-Lindenstrauss transform", 2009) of n
// floats, in place: each with a random sign, then the orthonormal Walsh-Hadamard matrix. The signs are those
// of block number `block` under the key. Keeps the Euclidean norm, and spreads every value over all of
// them. Aligned to 64 bytes; the sum of their magnitudes is finite.
void rotate(float* values, std::size_t n, std::uint64_t key, std::uint64_t block) noexcept;

}  // namespace gossamer
