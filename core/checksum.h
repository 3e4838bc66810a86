#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace gossamer {

// XXH3-64, the same on every machine. Long inputs at the memory's speed where the processor has AVX2, which
// the library that distributions build does without.
std::uint64_t checksum_of(std::span<const std::byte> bytes) noexcept;
inline std::uint64_t checksum_of(std::string_view text) noexcept {
  return checksum_of(std::as_bytes(std::span(text)));
}

// Whether the bytes hold no NaN and no infinity where they are read as floats; a rest of less than a float is
// left out.
bool all_finite(std::span<const std::byte> bytes) noexcept;

// Both in one pass over memory.
struct Scan {
  std::uint64_t checksum;
  bool finite;
};
Scan scan(std::span<const std::byte> bytes) noexcept;

}  // namespace gossamer
