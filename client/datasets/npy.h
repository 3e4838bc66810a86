#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

enum class NpyType { uint8, int32, int64, float32, float64 };

// An array file of NumPy (format versions 1 to 3), little-endian and in C order.
struct NpyArray {
  NpyType type = NpyType::uint8;
  std::vector<std::int64_t> shape;  // 1 to 5 extents of at least 1
  std::size_t offset = 0;           // of the first value; the values reach to the end
};

// Reads the header and checks it against the bytes that are there, to the last one. `file` is for messages,
// here and below. All throw FileError.
NpyArray parse_npy(std::string_view file, std::span<const std::byte> bytes);
// The values of a float32 or float64 array, all finite.
std::vector<float> npy_floats(std::string_view file, const NpyArray& array, std::span<const std::byte> bytes);
// The values of a one-dimensional uint8, int32 or int64 array of class indices.
std::vector<std::int32_t> npy_labels(std::string_view file, const NpyArray& array,
                                     std::span<const std::byte> bytes);

// Such files: of float32 values in this shape (in C order, as many as it has), and of int32 labels.
std::string npy_text(std::span<const float> values, const std::vector<std::int64_t>& shape);
std::string npy_text(std::span<const std::int32_t> labels);

}  // namespace gossamer
