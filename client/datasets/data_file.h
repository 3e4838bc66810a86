#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

// Class labels of files that hold numbers are below this.
inline constexpr std::int32_t kMostClasses = 65'536;

// Throws FileError "FILE: offset N: REASON".
[[noreturn]] void refuse_file(std::string_view file, std::uint64_t offset, const std::string& reason);

// The whole content of a file of at most `most_bytes`. A name that ends in .gz is decompressed, and the limit
// holds for what comes out. Throws FileError for a file that is missing, unreadable, too large, or not whole.
std::vector<std::uint8_t> read_data_file(const std::filesystem::path& file, std::uint64_t most_bytes);

// `folder / name`, or `folder / name`.gz where only that exists. Throws FileError where neither does, with
// `hint` at the end of the line.
std::filesystem::path find_data_file(const std::filesystem::path& folder, const std::string& name,
                                     const std::string& hint);

}  // namespace gossamer
