#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gossamer {

// A table of numbers: every row has `columns` features and a class.
struct CsvTable {
  std::int64_t columns = 0;
  std::vector<float> values;  // row by row
  std::vector<std::int32_t> labels;
  std::int64_t classes = 0;  // the largest label + 1, and at least 2
};

// Reads comma-separated rows of finite numbers, the last one an integer label of at least 0. A first line
// with anything else than numbers is taken for names. `file` is for messages. Throws FileError.
CsvTable parse_csv(std::string_view file, std::span<const std::byte> bytes);

}  // namespace gossamer
