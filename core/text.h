#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

// The shortest text that reads back as the same value.
std::string shortest(double value);

// "a, b, c".
std::string joined(const std::vector<std::string>& words, std::string_view between = ", ");

// "a,b,c" taken apart at the commas; of nothing: one empty word.
std::vector<std::string> split(std::string_view text);

// Filled up with blanks to `width` letters.
std::string padded(std::string text, std::size_t width);

}  // namespace gossamer
