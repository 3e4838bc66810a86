#include "core/checksum.h"

#define XXH_INLINE_ALL  // for a state on the stack, and a short input without a call
#include <xxhash.h>

#include <cstring>

#include "core/checksum_avx2.h"
#include "core/checksum_blocks.h"
#include "core/simd.h"

namespace gossamer {
namespace {

// Below this the library's own version is as fast, and a state costs more than it saves.
constexpr std::size_t kLong = 1024;

bool has_avx2(std::size_t size) noexcept {
#ifdef GOSSAMER_CHECKSUM_AVX2
  return size >= kLong && __builtin_cpu_supports("avx2");
#else
  return static_cast<void>(size), false;
#endif
}

// Finite means an exponent that is not all ones; written on bits so that the loop vectorises and survives
// -ffast-math.
GOSSAMER_MULTIVERSION
bool floats_are_finite(const std::byte* bytes, std::size_t floats) {
  std::uint32_t bad = 0;
  for (std::size_t i = 0; i < floats; ++i) {
    std::uint32_t bits;
    std::memcpy(&bits, bytes + i * sizeof bits, sizeof bits);
    bad |= static_cast<std::uint32_t>((bits & 0x7F800000U) == 0x7F800000U);
  }
  return bad == 0;
}

}  // namespace

std::uint64_t checksum_of(std::span<const std::byte> bytes) noexcept {
  if (has_avx2(bytes.size())) return checksum_avx2(bytes);
  return XXH3_64bits(bytes.data(), bytes.size());
}

bool all_finite(std::span<const std::byte> bytes) noexcept {
  return floats_are_finite(bytes.data(), bytes.size() / sizeof(float));
}

Scan scan(std::span<const std::byte> bytes) noexcept {
  if (bytes.size() < kLong) return {checksum_of(bytes), all_finite(bytes)};
  return has_avx2(bytes.size()) ? scan_avx2(bytes) : scan_by_blocks(bytes);
}

}  // namespace gossamer
