#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

// A role's lines, each with its newline, in the order of the text: the first 80% of them to train on, the
// rest to test on (McMahan et al. 2017).
struct Role {
  std::string name;
  std::string train;
  std::string test;
};

struct Play {
  std::vector<Role> roles;               // in order of their first line
  std::vector<std::uint8_t> vocabulary;  // the bytes that occur in the lines, ascending
};

// Reads a text in which a line `NAME:` at the start or after an empty line says who speaks the lines below
// it. `file` is for messages. Throws FileError.
Play parse_play(std::string_view file, std::span<const std::byte> bytes);

// Where windows of `window` characters, each followed by one more, start in a text of `length` characters:
// one after another, and a last one that ends with the text. Empty for a text that is too short.
std::vector<std::uint32_t> window_starts(std::size_t length, std::size_t window);

}  // namespace gossamer
