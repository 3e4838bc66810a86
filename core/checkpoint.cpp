#include "core/checkpoint.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <set>
#include <stdexcept>
#include <system_error>

#include "core/error.h"
#include "core/files.h"
#include "core/logging.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "checkpoints hold data as it lies in memory");

constexpr std::string_view kMagic = "GOSSCKPT";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kAlignment = 64;
constexpr std::size_t kHeadBytes = 32;
constexpr std::size_t kChecksumOffset = 24;
constexpr std::size_t kEntryBytes = 24;  // without the name

constexpr std::size_t aligned(std::size_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

template <class T>
void put(ByteBuffer& bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

template <class T>
T get(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

class Checksum {
 public:
  Checksum() { XXH3_64bits_reset(state_.get()); }
  void add(std::span<const std::byte> bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  std::uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_{XXH3_createState()};
};

constexpr std::array<std::byte, kAlignment> kZeros{};

constexpr std::string_view kPrefix = "round-";
constexpr std::string_view kSuffix = ".ckpt";

std::string round_name(Round round) {
  std::string digits = std::to_string(round);
  if (digits.size() < 6) digits.insert(0, 6 - digits.size(), '0');
  return std::string(kPrefix) + digits;
}

struct CheckpointFile {
  Round round = 0;
  bool coordinator = false;  // else a client's
  bool temporary = false;
  fs::path path;
};

// None for a file that is not of ours.
std::optional<CheckpointFile> parse_name(const fs::path& path) {
  CheckpointFile file;
  file.path = path;
  std::string name = path.filename().string();
  const std::string temporary_suffix = temporary_path("").string();
  if (name.ends_with(temporary_suffix)) {
    file.temporary = true;
    name.resize(name.size() - temporary_suffix.size());
  }
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  const char* const end = name.data() + name.size() - kSuffix.size();
  const auto [after, status] = std::from_chars(name.data() + kPrefix.size(), end, file.round);
  if (status != std::errc{} || file.round < 0) return std::nullopt;
  file.coordinator = after == end;
  if (!file.coordinator && !std::string_view(after, end).starts_with(".clients-")) return std::nullopt;
  return file;
}

std::vector<CheckpointFile> files_in(const fs::path& folder) {
  std::vector<CheckpointFile> files;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    if (auto file = parse_name(entry->path())) files.push_back(std::move(*file));
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw RunError("cannot read " + folder.string() + ": " + error.message());
  }
  return files;
}

}  // namespace

void CheckpointWriter::add(std::string name, std::span<const std::byte> data) {
  if (std::ranges::any_of(sections_, [&](const Section& s) { return s.name == name; })) {
    throw std::logic_error("checkpoint section " + name + " is added twice");
  }
  sections_.push_back({std::move(name), data});
}

void CheckpointWriter::add_text(std::string name, std::string text) {
  const std::string& copy = copies_.emplace_back(std::move(text));
  add(std::move(name), std::as_bytes(std::span(copy)));
}

// Fills `head` (everything before the first section's data) and returns the file as parts.
std::vector<std::span<const std::byte>> CheckpointWriter::layout(ByteBuffer& head) const {
  std::size_t table_end = kHeadBytes;
  for (const Section& section : sections_) table_end += kEntryBytes + section.name.size();
  head.resize(aligned(table_end));
  std::ranges::fill(head, std::byte{0});

  std::vector<std::span<const std::byte>> parts{head};
  std::size_t entry = kHeadBytes;
  std::size_t offset = head.size();
  for (const Section& section : sections_) {
    put(head, entry, static_cast<std::uint32_t>(section.name.size()));
    put(head, entry + 8, static_cast<std::uint64_t>(section.data.size()));
    put(head, entry + 16, static_cast<std::uint64_t>(offset));
    std::memcpy(head.data() + entry + kEntryBytes, section.name.data(), section.name.size());
    entry += kEntryBytes + section.name.size();
    const std::size_t end = offset + section.data.size();
    parts.push_back(section.data);
    parts.push_back(std::span(kZeros).first(aligned(end) - end));
    offset = aligned(end);
  }
  std::memcpy(head.data(), kMagic.data(), kMagic.size());
  put(head, 8, kVersion);
  put(head, 12, static_cast<std::uint32_t>(sections_.size()));
  put(head, 16, static_cast<std::uint64_t>(offset));
  Checksum checksum;
  checksum.add(std::span<const std::byte>(head).first(kChecksumOffset));
  checksum.add(std::span<const std::byte>(head).subspan(kHeadBytes));
  for (std::size_t i = 1; i < parts.size(); ++i) checksum.add(parts[i]);
  put(head, kChecksumOffset, checksum.value());
  return parts;
}

void CheckpointWriter::commit(const fs::path& path) const {
  if (path.has_parent_path()) make_folder(path.parent_path());
  ByteBuffer head;
  write_atomically(path, layout(head));
}

ByteBuffer CheckpointWriter::encode() const {
  ByteBuffer head;
  ByteBuffer bytes;
  for (const auto part : layout(head)) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

CheckpointReader::CheckpointReader(const fs::path& path) : name_(path.string()), bytes_(read_bytes(path)) {
  parse();
}

CheckpointReader::CheckpointReader(std::span<const std::byte> bytes, std::string name)
    : name_(std::move(name)), bytes_(bytes.begin(), bytes.end()) {
  parse();
}

void CheckpointReader::parse() {
  const std::span<const std::byte> file = bytes_;
  if (file.size() < kHeadBytes) refuse(file.size(), "the file ends inside its header");
  if (std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0) refuse(0, "this is no checkpoint");
  if (const auto version = get<std::uint32_t>(file, 8); version != kVersion) {
    refuse(8,
           "version " + std::to_string(version) + "; this program reads version " + std::to_string(kVersion));
  }
  if (const auto length = get<std::uint64_t>(file, 16); length != file.size()) {
    refuse(16, "the file should have " + std::to_string(length) + " bytes but has " +
                   std::to_string(file.size()));
  }
  Checksum checksum;
  checksum.add(file.first(kChecksumOffset));
  checksum.add(file.subspan(kHeadBytes));
  if (checksum.value() != get<std::uint64_t>(file, kChecksumOffset)) {
    refuse(kChecksumOffset, "the checksum does not match the content");
  }
  // A checksum is no proof of good intent: the table is checked as if there were none.
  const auto count = get<std::uint32_t>(file, 12);
  std::size_t entry = kHeadBytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (file.size() - entry < kEntryBytes) refuse(entry, "the file ends inside its table of sections");
    const auto name_length = get<std::uint32_t>(file, entry);
    const auto length = get<std::uint64_t>(file, entry + 8);
    const auto offset = get<std::uint64_t>(file, entry + 16);
    if (file.size() - entry - kEntryBytes < name_length) refuse(entry, "a section's name runs past the end");
    if (offset % kAlignment != 0 || offset > file.size() || file.size() - offset < length) {
      refuse(entry + 8, "a section's data runs past the end");
    }
    std::string name(reinterpret_cast<const char*>(file.data() + entry + kEntryBytes), name_length);
    if (!sections_.emplace(std::move(name), file.subspan(offset, length)).second) {
      refuse(entry, "two sections have the same name");
    }
    entry += kEntryBytes + name_length;
  }
}

std::vector<std::string> CheckpointReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, data] : sections_) names.push_back(name);
  return names;
}

std::span<const std::byte> CheckpointReader::section(std::string_view name) const {
  const auto found = sections_.find(name);
  if (found == sections_.end()) refuse(kHeadBytes, "no section " + std::string(name));
  return found->second;
}

std::string_view CheckpointReader::text(std::string_view name) const {
  const auto bytes = section(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void CheckpointReader::refuse(std::size_t offset, const std::string& reason) const {
  throw FileError(name_ + ", byte " + std::to_string(offset) + ": " + reason);
}

void CheckpointReader::wrong_size(std::string_view name, std::size_t got, std::size_t unit) const {
  const auto offset = static_cast<std::size_t>(section(name).data() - bytes_.data());
  refuse(offset, "section " + std::string(name) + " has " + std::to_string(got) +
                     " bytes, not a whole number of " + std::to_string(unit));
}

fs::path checkpoint_path(const fs::path& folder, Round round) {
  return folder / (round_name(round) + std::string(kSuffix));
}

fs::path client_checkpoint_path(const fs::path& folder, Round round, std::string_view owner) {
  return folder / (round_name(round) + ".clients-" + std::string(owner) + std::string(kSuffix));
}

std::optional<Round> latest_checkpoint(const fs::path& folder) {
  const std::vector<CheckpointFile> files = files_in(folder);
  std::set<Round, std::greater<>> rounds;
  for (const CheckpointFile& file : files) {
    if (file.coordinator && !file.temporary) rounds.insert(file.round);
  }
  std::string newest_fault;
  for (const Round round : rounds) {
    try {
      for (const CheckpointFile& file : files) {
        if (file.round == round && !file.temporary) CheckpointReader{file.path};
      }
      return round;
    } catch (const FileError& e) {
      log_warning("checkpoint of round " + std::to_string(round) + " passed over: " + e.what());
      if (newest_fault.empty()) newest_fault = e.what();
    }
  }
  if (!rounds.empty()) throw FileError(newest_fault + "; no other checkpoint is valid");
  return std::nullopt;
}

void prune_checkpoints(const fs::path& folder, Round keep_from) {
  for (const CheckpointFile& file : files_in(folder)) {
    if (file.round >= keep_from) continue;
    std::error_code error;
    fs::remove(file.path, error);
    if (error) throw RunError("cannot delete " + file.path.string() + ": " + error.message());
  }
}

}  // namespace gossamer
