#pragma once

#include <xxhash.h>

#include <algorithm>

#include "core/checksum.h"

namespace gossamer {
namespace {

// Blocks that stay in the first cache between their checksum and their check. Each file that includes this
// has its own, with the XXH3 that it was given.
Scan scan_by_blocks(std::span<const std::byte> bytes) noexcept {
  constexpr std::size_t kBlock = 8192;
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  bool finite = true;
  for (std::size_t begin = 0; begin < bytes.size(); begin += kBlock) {
    const auto block = bytes.subspan(begin, std::min(kBlock, bytes.size() - begin));
    XXH3_64bits_update(&state, block.data(), block.size());
    finite = finite && all_finite(block);
  }
  return {XXH3_64bits_digest(&state), finite};
}

}  // namespace
}  // namespace gossamer
