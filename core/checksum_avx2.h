#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer {

// checksum_of() for processors with AVX2, in a file that is compiled for them; nothing else may be in it.
std::uint64_t checksum_avx2(const void* data, std::size_t size) noexcept;

}  // namespace gossamer
