#include "core/buffers.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace gossamer {

// Models of some size are read and written from end to end: with large pages there are fewer to look up, and
// the processor reads ahead further than 4 KiB.
void use_huge_pages([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t size) noexcept {
#ifdef __linux__
  constexpr std::size_t kMany = std::size_t{4} << 20U;
  if (size < kMany) return;
  constexpr std::uintptr_t kHugePage = std::uintptr_t{2} << 20U;
  const auto address = reinterpret_cast<std::uintptr_t>(begin);
  const std::uintptr_t first = (address + kHugePage - 1) / kHugePage * kHugePage;
  const std::uintptr_t last = (address + size) / kHugePage * kHugePage;
  if (first < last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

}  // namespace gossamer
