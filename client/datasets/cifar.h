#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gossamer {

// CIFAR-10's binary version: records of a label byte and 3 x 32 x 32 pixel bytes (red, green, blue planes).
// Appends the pixels and labels of one batch of 1 to 10,000 records. `file` is for messages. Throws
// FileError, and then has appended nothing.
void parse_cifar10_batch(std::string_view file, std::span<const std::byte> bytes,
                         std::vector<std::uint8_t>& pixels, std::vector<std::int32_t>& labels);

}  // namespace gossamer
