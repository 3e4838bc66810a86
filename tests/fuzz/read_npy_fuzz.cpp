#include <cstddef>
#include <cstdint>
#include <span>

#include "client/datasets/npy.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const gossamer::NpyArray array = gossamer::parse_npy("input", bytes);
    const bool real = array.type == gossamer::NpyType::float32 || array.type == gossamer::NpyType::float64;
    std::int64_t values = 1;
    for (std::int64_t extent : array.shape) values *= extent;
    const std::size_t read = real ? gossamer::npy_floats("input", array, bytes).size()
                                  : gossamer::npy_labels("input", array, bytes).size();
    if (read != static_cast<std::size_t>(values)) __builtin_trap();
  } catch (const gossamer::FileError&) {  // refused, as most inputs should be
  }
  return 0;
}
