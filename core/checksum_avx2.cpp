#include "core/checksum_avx2.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/checksum_blocks.h"

namespace gossamer {

std::uint64_t checksum_avx2(std::span<const std::byte> bytes) noexcept {
  return XXH3_64bits(bytes.data(), bytes.size());
}

Scan scan_avx2(std::span<const std::byte> bytes) noexcept { return scan_by_blocks(bytes); }

}  // namespace gossamer
