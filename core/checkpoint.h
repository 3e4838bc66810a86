#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/buffers.h"
#include "core/files.h"
#include "core/types.h"

namespace gossamer {

// A checkpoint file is a list of named sections under one checksum, whole or absent:
//
//   magic "GOSSCKPT", version u32, sections u32, file length u64, XXH3-64 u64 of all bytes but itself
//   for each section: length of its name u32, zero u32, length of its data u64, offset of its data u64, name
//   the data of each section in the same order, each from the next multiple of 64 bytes, filled up with zeros
//
// Integers are little-endian; data is as it lies in memory (little-endian machines only).

// Collects the sections of one file. Data given as a span is not copied: it must stay alive and unchanged
// until commit() returns. Adding a name twice is a fault of the program (std::logic_error).
class CheckpointWriter {
 public:
  void add(std::string name, std::span<const std::byte> data);
  void add_floats(std::string name, std::span<const float> values) {
    add(std::move(name), std::as_bytes(values));
  }
  template <class T>
  void add_array(std::string name, std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T>);
    add(std::move(name), std::as_bytes(values));
  }
  // Data that is made only while the file is written: `produce`, which may be called more than once, gives it
  // piece by piece to the sink, `bytes` in all. Other lengths are a fault of the program, too.
  using Sink = std::function<void(std::span<const std::byte>)>;
  using Produce = std::function<void(const Sink&)>;
  void add_stream(std::string name, std::uint64_t bytes, Produce produce);
  // These two are copied.
  void add_text(std::string name, std::string text);
  template <class T>
  void add_pod(std::string name, const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    add_text(std::move(name), std::string(reinterpret_cast<const char*>(&value), sizeof(T)));
  }

  // Writes an AtomicFile and makes its folder where there is none. Throws RunError, and what a stream's
  // `produce` throws.
  void commit(const std::filesystem::path& path) const;
  // The file's bytes.
  ByteBuffer encode() const;

 private:
  struct Section {
    std::string name;
    std::uint64_t bytes = 0;
    std::span<const std::byte> data;
    Produce produce;  // where there is one, in place of the data
  };
  ByteBuffer head() const;
  std::uint64_t write(const Sink& append) const;

  std::vector<Section> sections_;
  std::set<std::string, std::less<>> names_;
  std::list<std::string> copies_;  // a list: the spans into it stay valid
};

// Reads one back. Checks everything before it gives anything out. A file's sections are read when they are
// asked for, and kept: views of them live as long as the reader, or until forget(). Asking for a section that
// is not there, or with the wrong size for its type, throws FileError. Not thread-safe.
class CheckpointReader {
 public:
  // Throws FileError that names the file, the byte and the reason.
  explicit CheckpointReader(const std::filesystem::path& path);
  // The same for bytes in memory; `name` stands for the file in errors.
  CheckpointReader(std::span<const std::byte> bytes, std::string name);

  bool has(std::string_view name) const { return sections_.contains(name); }
  std::vector<std::string> names() const;
  std::span<const std::byte> section(std::string_view name) const;
  // Frees the memory of a section, if it has been read from a file.
  void forget(std::string_view name) const;
  std::string_view text(std::string_view name) const;
  std::span<const float> floats(std::string_view name) const { return array<float>(name); }
  template <class T>
  std::span<const T> array(std::string_view name) const {
    static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 64);
    const auto bytes = section(name);
    if (bytes.size() % sizeof(T) != 0) wrong_size(name, bytes.size(), sizeof(T));
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  template <class T>
  T pod(std::string_view name) const {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto bytes = section(name);
    if (bytes.size() != sizeof(T)) wrong_size(name, bytes.size(), sizeof(T));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

 private:
  struct Section {
    std::uint64_t offset = 0, bytes = 0;
    mutable ByteBuffer content;  // of a file's, once it has been asked for
  };
  void parse();
  std::uint64_t checksum() const;
  std::uint64_t size() const noexcept { return file_ ? file_->size() : bytes_.size(); }
  void read(std::uint64_t offset, std::span<std::byte> into) const;
  template <class T>
  T get(std::uint64_t offset) const;
  const Section& find(std::string_view name) const;
  [[noreturn]] void refuse(std::uint64_t offset, const std::string& reason) const;
  [[noreturn]] void wrong_size(std::string_view name, std::size_t got, std::size_t unit) const;

  std::string name_;
  std::optional<InputFile> file_;
  ByteBuffer bytes_;  // where there is no file
  std::map<std::string, Section, std::less<>> sections_;
};

// The files of a checkpoint folder: what the coordinator holds at the end of `round`, and what `owner` (a
// rank or a client's number) keeps of its clients. An owner's file is written before the coordinator's of the
// same round: a round counts as saved once its coordinator's file is there.
std::filesystem::path checkpoint_path(const std::filesystem::path& folder, Round round);
std::filesystem::path client_checkpoint_path(const std::filesystem::path& folder, Round round,
                                             std::string_view owner);

// The rounds whose coordinator's file is there, the newest first; none where there is no folder.
std::vector<Round> checkpoint_rounds(const std::filesystem::path& folder);

// The newest round whose files are all valid; a newer round that has a corrupt file is logged as a warning
// and passed over. None where there is no checkpoint at all; FileError where there are some and none is
// valid.
std::optional<Round> latest_checkpoint(const std::filesystem::path& folder);

// Deletes the checkpoints of all rounds before `keep_from`, and temporary files that a crash left of them.
// Call it with the round of the checkpoint before the one just written: two stay. Throws RunError.
void prune_checkpoints(const std::filesystem::path& folder, Round keep_from);
// The files of that round, likewise.
void remove_checkpoint(const std::filesystem::path& folder, Round round);

}  // namespace gossamer
