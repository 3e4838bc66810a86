#include <cstddef>
#include <cstdint>
#include <span>

#include "client/datasets/idx.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const gossamer::IdxImages images = gossamer::parse_idx_images("input", bytes);
    if (images.offset + static_cast<std::uint64_t>(images.count * images.height * images.width) != size)
      __builtin_trap();
  } catch (const gossamer::FileError&) {  // refused, as most inputs should be
  }
  try {
    for (std::int32_t label : gossamer::parse_idx_labels("input", bytes, 10)) {
      if (label < 0 || label > 9) __builtin_trap();
    }
  } catch (const gossamer::FileError&) {  // refused, as most inputs should be
  }
  return 0;
}
