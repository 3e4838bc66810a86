#include "core/checksum_avx2.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace gossamer {

std::uint64_t checksum_avx2(const void* data, std::size_t size) noexcept { return XXH3_64bits(data, size); }

}  // namespace gossamer
