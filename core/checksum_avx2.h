#pragma once

#include "core/checksum.h"

namespace gossamer {

// checksum_of() and scan() for processors with AVX2, in a file that is compiled for them; nothing else may be
// in it.
std::uint64_t checksum_avx2(std::span<const std::byte> bytes) noexcept;
Scan scan_avx2(std::span<const std::byte> bytes) noexcept;

}  // namespace gossamer
