#include "core/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
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

class Descriptor {
 public:
  explicit Descriptor(int value) : value_(value) {}
  ~Descriptor() {
    if (value_ >= 0) ::close(value_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return value_; }
  // Closes now; false where the system reports an error only then (NFS).
  bool close() noexcept { return ::close(std::exchange(value_, -1)) == 0; }

 private:
  int value_;
};

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

bool write_new(const std::filesystem::path& path, std::span<const std::span<const std::byte>> parts) {
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (file.get() < 0) return false;
  for (const auto part : parts) {
    if (!write_all(file.get(), part)) return false;
  }
  return ::fsync(file.get()) == 0 && file.close();
}

// A rename is only certain to survive a power failure once its folder is on disk. Some file systems refuse
// to sync a folder (EINVAL); they have nothing better to offer.
bool sync_folder(const std::filesystem::path& folder) {
  const Descriptor opened(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return opened.get() >= 0 && (::fsync(opened.get()) == 0 || errno == EINVAL);
}

// Appends what the file holds to `content` until its end.
template <class Container>
void read_to_end(const std::filesystem::path& path, Container& content, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) cannot_read(path, errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) cannot_read(path, errno);
  if (S_ISDIR(status.st_mode)) cannot_read(path, EISDIR);
  // A regular file is read in one piece, with a byte to spare that shows its end; a pipe or a device says no
  // size and is read piece by piece.
  const auto expected = static_cast<std::size_t>(status.st_size);
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
}

}  // namespace

std::string read_text(const std::filesystem::path& path, std::size_t limit) {
  std::string content;
  read_to_end(path, content, limit);
  return content;
}

ByteBuffer read_bytes(const std::filesystem::path& path) {
  ByteBuffer content;
  read_to_end(path, content, content.max_size() - 1);
  return content;
}

std::filesystem::path temporary_path(const std::filesystem::path& path) { return path.string() + ".tmp"; }

void write_atomically(const std::filesystem::path& path, std::span<const std::span<const std::byte>> parts) {
  const std::filesystem::path temporary = temporary_path(path);
  if (!write_new(temporary, parts) || ::rename(temporary.c_str(), path.c_str()) != 0 ||
      !sync_folder(path.parent_path())) {
    const int error = errno;
    ::unlink(temporary.c_str());
    cannot_write(path, error);
  }
}

void write_atomically(const std::filesystem::path& path, std::string_view text) {
  const std::array parts{std::as_bytes(std::span(text))};
  write_atomically(path, parts);
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
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | start_flag, 0666);
  if (descriptor_ < 0) cannot_write(path_, errno);
}

AppendFile::AppendFile(AppendFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

AppendFile& AppendFile::operator=(AppendFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

AppendFile::~AppendFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void AppendFile::append(std::string_view text) {
  if (!write_all(descriptor_, std::as_bytes(std::span(text)))) cannot_write(path_, errno);
}

}  // namespace gossamer
