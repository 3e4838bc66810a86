#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer {

// XXH3-64, the same on every machine. Long inputs at the memory's speed where the processor has AVX2, which
// the library that distributions build does without.
std::uint64_t checksum_of(std::span<const std::byte> bytes) noexcept;

}  // namespace gossamer
