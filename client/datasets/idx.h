#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gossamer {

// The IDX format of MNIST: two zero bytes, a type byte, the number of dimensions, their sizes as big-endian
// 32-bit numbers, the values. Only unsigned bytes are read.
struct IdxImages {
  std::int64_t count = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::size_t offset = 0;  // of the first pixel; the pixels reach to the end
};

// Read the header and check it against the bytes that are there, to the last one. `file` is for messages.
// Throw FileError.
IdxImages parse_idx_images(std::string_view file, std::span<const std::byte> bytes);
// Labels in [0, classes).
std::vector<std::int32_t> parse_idx_labels(std::string_view file, std::span<const std::byte> bytes,
                                           std::int64_t classes);

}  // namespace gossamer
