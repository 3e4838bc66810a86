#include <cstddef>
#include <cstdint>
#include <span>

#include "client/datasets/cifar.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  try {
    gossamer::parse_cifar10_batch("input", bytes, pixels, labels);
  } catch (const gossamer::FileError&) {  // refused, as most inputs should be
  }
  if (pixels.size() != labels.size() * 3072) __builtin_trap();
  return 0;
}
