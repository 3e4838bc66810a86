#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "core/buffers.h"

namespace gossamer {

// A whole file. Throws FileError, one line with path and reason, where it cannot be read or is longer than
// `limit` bytes. read_bytes() aligns its buffer to a cache line.
std::string read_text(const std::filesystem::path& path, std::size_t limit = std::size_t{1} << 30U);
ByteBuffer read_bytes(const std::filesystem::path& path);

// Writes the parts one after another so that `path` holds either all of them or what it held before, at
// whatever moment the process or the machine stops: a temporary name beside it (temporary_path()), fsync,
// rename, fsync of the folder. One writer a path. Throws RunError with path and reason (a full disk, a
// folder without permission), and leaves no temporary file behind then.
void write_atomically(const std::filesystem::path& path, std::span<const std::span<const std::byte>> parts);
void write_atomically(const std::filesystem::path& path, std::string_view text);

// The name under which write_atomically() writes before it renames.
std::filesystem::path temporary_path(const std::filesystem::path& path);

// mkdir -p. Throws RunError.
void make_folder(const std::filesystem::path& path);

// A file that grows by whole lines: append() hands them to the system in one call, so a process that dies
// leaves at most its last line torn. Movable; not thread-safe. Throws RunError.
class AppendFile {
 public:
  enum class Start { empty, at_end };
  AppendFile(std::filesystem::path path, Start start);
  AppendFile(AppendFile&& other) noexcept;
  AppendFile& operator=(AppendFile&& other) noexcept;
  ~AppendFile();

  void append(std::string_view text);

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace gossamer
