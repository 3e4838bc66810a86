#include "core/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "core/error.h"

namespace gossamer {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void cannot_write(const std::filesystem::path& path, int error) {
  throw RunError("cannot write " + path.string() + ": " + reason(error));
}

[[noreturn]] void cannot_read(const std::filesystem::path& path, int error) {
  throw FileError("cannot read " + path.string() + ": " + reason(error));
}

// False with errno set.
bool write_all(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

// At an offset; false with errno set.
bool write_all_at(int descriptor, std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    offset += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

enum class Read { whole, failed, too_short };

// With errno set where it failed.
Read read_all_at(int descriptor, std::uint64_t offset, std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Read::failed;
    if (got == 0) return Read::too_short;
    offset += static_cast<std::uint64_t>(got);
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
  return Read::whole;
}

Descriptor open_to_read(const std::filesystem::path& path, struct stat& status) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) cannot_read(path, errno);
  if (::fstat(file.get(), &status) != 0) cannot_read(path, errno);
  if (S_ISDIR(status.st_mode)) cannot_read(path, EISDIR);
  return file;
}

// A rename is only certain to survive a power failure once its folder is on disk. Some file systems refuse
// to sync a folder (EINVAL); they have nothing better to offer.
bool sync_folder(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return opened.get() >= 0 && (::fsync(opened.get()) == 0 || errno == EINVAL);
}

}  // namespace

bool Descriptor::close() noexcept {
  const int value = std::exchange(value_, -1);
  return value < 0 || ::close(value) == 0;
}

std::string read_text(const std::filesystem::path& path, std::size_t limit) {
  struct stat status {};
  const Descriptor file = open_to_read(path, status);
  // A regular file is read in one piece, with a byte to spare that shows its end; a pipe or a device says no
  // size and is read piece by piece.
  const auto expected = static_cast<std::size_t>(status.st_size);
  std::string content;
  std::size_t size = 0;
  while (true) {
    if (size > limit) {
      throw FileError("cannot read " + path.string() + ": it is longer than " + std::to_string(limit) +
                      " bytes");
    }
    const std::size_t room = expected >= size ? expected - size + 1 : 65536;
    content.resize(size + std::min(room, limit - size + 1));
    const ssize_t got = ::read(file.get(), content.data() + size, content.size() - size);
    if (got < 0 && errno != EINTR) cannot_read(path, errno);
    if (got == 0) break;
    size += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  }
  content.resize(size);
  return content;
}

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  struct stat status {};
  file_ = open_to_read(path_, status);
  size_ = static_cast<std::uint64_t>(status.st_size);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  const Read done = read_all_at(file_.get(), offset, bytes);
  if (done == Read::failed) cannot_read(path_, errno);
  if (done == Read::too_short) throw FileError("cannot read " + path_.string() + ": it has become shorter");
}

std::filesystem::path temporary_path(const std::filesystem::path& path) { return path.string() + ".tmp"; }

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)),
      file_(::open(temporary_path(path_).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)),
      is_temporary_(file_.get() >= 0) {
  if (!is_temporary_) cannot_write(path_, errno);
}

AtomicFile::~AtomicFile() {
  if (is_temporary_) ::unlink(temporary_path(path_).c_str());
}

void AtomicFile::append(std::span<const std::byte> bytes) {
  if (!write_all(file_.get(), bytes)) cannot_write(path_, errno);
}

void AtomicFile::overwrite(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (!write_all_at(file_.get(), offset, bytes)) cannot_write(path_, errno);
}

void AtomicFile::commit() {
  if (::fsync(file_.get()) != 0 || !file_.close() ||
      ::rename(temporary_path(path_).c_str(), path_.c_str()) != 0)
    cannot_write(path_, errno);
  is_temporary_ = false;
  if (!sync_folder(path_.parent_path())) cannot_write(path_, errno);
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.append(std::as_bytes(std::span(text)));
  file.commit();
}

ScratchFile::ScratchFile(std::filesystem::path path) : path_(std::move(path)) {
  ::unlink(path_.c_str());  // of a process that was killed in the middle of the next two lines
  file_ = Descriptor(::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (file_.get() < 0 || ::unlink(path_.c_str()) != 0) cannot_write(path_, errno);
}

void ScratchFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  if (!write_all_at(file_.get(), offset, bytes)) cannot_write(path_, errno);
}

void ScratchFile::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  const Read done = read_all_at(file_.get(), offset, bytes);
  if (done == Read::whole) return;
  throw RunError("cannot read " + path_.string() + ": " +
                 (done == Read::failed ? reason(errno) : "it has become shorter"));
}

void make_folder(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error && !std::filesystem::is_directory(path))
    error = std::make_error_code(std::errc::not_a_directory);
  if (error) throw RunError("cannot make the folder " + path.string() + ": " + error.message());
}

AppendFile::AppendFile(std::filesystem::path path, Start start) : path_(std::move(path)) {
  const int start_flag = start == Start::empty ? O_TRUNC : 0;
  file_ = Descriptor(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | start_flag, 0666));
  if (file_.get() < 0) cannot_write(path_, errno);
}

void AppendFile::append(std::string_view text) {
  if (!write_all(file_.get(), std::as_bytes(std::span(text)))) cannot_write(path_, errno);
}

}  // namespace gossamer
