#include "core/checksum.h"

#include <xxhash.h>

#include "core/checksum_avx2.h"

namespace gossamer {

std::uint64_t checksum_of(std::span<const std::byte> bytes) noexcept {
#ifdef GOSSAMER_CHECKSUM_AVX2
  constexpr std::size_t kLong = 1024;
  if (bytes.size() >= kLong && __builtin_cpu_supports("avx2"))
    return checksum_avx2(bytes.data(), bytes.size());
#endif
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace gossamer
