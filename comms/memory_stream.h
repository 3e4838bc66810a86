#pragma once

#include <cereal/archives/binary.hpp>
#include <cstddef>
#include <istream>
#include <ostream>
#include <span>
#include <streambuf>

namespace gossamer {

// cereal writes to and reads from streams; this one is a given piece of memory. It never grows, so nothing is
// allocated, and reading or writing past its end throws cereal::Exception.
class MemoryBuffer final : public std::streambuf {
 public:
  explicit MemoryBuffer(std::span<std::byte> memory) {
    char* const begin = reinterpret_cast<char*>(memory.data());
    setp(begin, begin + memory.size());
    setg(begin, begin, begin + memory.size());
  }
};

// Fields are types with a serialize() member over fixed-size numbers; cereal writes these back to back.
template <class Fields>
void write_fields(std::span<std::byte> memory, Fields fields) {
  MemoryBuffer buffer(memory);
  std::ostream stream(&buffer);
  cereal::BinaryOutputArchive archive(stream);
  archive(fields);
}

template <class Fields>
Fields read_fields(std::span<const std::byte> memory) {
  // A streambuf wants mutable memory even where it only reads.
  MemoryBuffer buffer({const_cast<std::byte*>(memory.data()), memory.size()});
  std::istream stream(&buffer);
  cereal::BinaryInputArchive archive(stream);
  Fields fields;
  archive(fields);
  return fields;
}

}  // namespace gossamer
