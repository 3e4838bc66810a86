#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace gossamer {

// A file of the system's, closed with its owner.
class Descriptor {
 public:
  explicit Descriptor(int value = -1) noexcept : value_(value) {}
  Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Descriptor() { close(); }

  int get() const noexcept { return value_; }
  // Closes now; false, with errno set, where the system reports an error only then (NFS).
  bool close() noexcept;

 private:
  int value_;
};

// A whole file. Throws FileError, one line with path and reason, where it cannot be read or is longer than
// `limit` bytes.
std::string read_text(const std::filesystem::path& path, std::size_t limit = std::size_t{1} << 30U);

// A file that is read in parts. Throws FileError, one line with path and reason.
class InputFile {
 public:
  explicit InputFile(std::filesystem::path path);

  // Its length when it was opened.
  std::uint64_t size() const noexcept { return size_; }
  // Fills `bytes` with what begins at `offset`.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::filesystem::path path_;
  Descriptor file_;
  std::uint64_t size_ = 0;
};

// A file that is there as a whole or not at all: until commit() has returned, `path` holds what it held
// before, at whatever moment the process or the machine stops. It is written under a temporary name beside it
// (temporary_path()); commit() is fsync, rename, fsync of the folder. One writer a path. All throw RunError
// with path and reason (a full disk, a folder without permission); no temporary file is left behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void append(std::span<const std::byte> bytes);
  // In place of bytes that have been appended.
  void overwrite(std::uint64_t offset, std::span<const std::byte> bytes);
  void commit();

 private:
  std::filesystem::path path_;
  Descriptor file_;
  bool is_temporary_ = false;  // there is such a file
};
void write_atomically(const std::filesystem::path& path, std::string_view text);

// The name under which an AtomicFile is written before it is renamed.
std::filesystem::path temporary_path(const std::filesystem::path& path);

// Room on a disk for one process: a file that has no name any more once it is open, so it is gone with its
// owner, however that ends. `path` is where it is made, and its name in errors. Throws RunError with path and
// reason.
class ScratchFile {
 public:
  explicit ScratchFile(std::filesystem::path path);

  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  // Of what has been written.
  void read(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::filesystem::path path_;
  Descriptor file_;
};

// mkdir -p. Throws RunError.
void make_folder(const std::filesystem::path& path);

// A file that grows by whole lines: append() hands them to the system in one call, so a process that dies
// leaves at most its last line torn. Movable; not thread-safe. Throws RunError.
class AppendFile {
 public:
  enum class Start { empty, at_end };
  AppendFile(std::filesystem::path path, Start start);

  void append(std::string_view text);

 private:
  std::filesystem::path path_;
  Descriptor file_;
};

}  // namespace gossamer
