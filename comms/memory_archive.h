#pragma once

#include <cereal/cereal.hpp>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

namespace gossamer {

// cereal's archives over a given piece of memory, without a stream between: nothing is allocated, and writing
// or reading past the end throws cereal::Exception.
class MemoryWriter final : public cereal::OutputArchive<MemoryWriter, cereal::AllowEmptyClassElision> {
 public:
  explicit MemoryWriter(std::span<std::byte> memory) : OutputArchive(this), memory_(memory) {}
  void write(const void* data, std::size_t size) {
    if (size > memory_.size()) throw cereal::Exception("write past the end");
    std::memcpy(memory_.data(), data, size);
    memory_ = memory_.subspan(size);
  }

 private:
  std::span<std::byte> memory_;
};

class MemoryReader final : public cereal::InputArchive<MemoryReader, cereal::AllowEmptyClassElision> {
 public:
  explicit MemoryReader(std::span<const std::byte> memory) : InputArchive(this), memory_(memory) {}
  void read(void* data, std::size_t size) {
    if (size > memory_.size()) throw cereal::Exception("read past the end");
    std::memcpy(data, memory_.data(), size);
    memory_ = memory_.subspan(size);
  }

 private:
  std::span<const std::byte> memory_;
};

template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(MemoryWriter& archive, const T& value) { archive.write(&value, sizeof value); }
template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(MemoryReader& archive, T& value) { archive.read(&value, sizeof value); }

// Memory as it lies, in one piece: field by field, a header costs a hundred times as much.
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(MemoryWriter& archive, const cereal::BinaryData<T*>& memory) {
  archive.write(memory.data, memory.size);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(MemoryReader& archive, cereal::BinaryData<T*>& memory) {
  archive.read(memory.data, memory.size);
}

// Fields are types with a serialize() member over fixed-size numbers, or over their own memory where it has
// no padding; cereal writes these back to back.
template <class Fields>
void write_fields(std::span<std::byte> memory, Fields fields) {
  MemoryWriter archive(memory);
  archive(fields);
}

template <class Fields>
Fields read_fields(std::span<const std::byte> memory) {
  MemoryReader archive(memory);
  Fields fields;
  archive(fields);
  return fields;
}

}  // namespace gossamer
