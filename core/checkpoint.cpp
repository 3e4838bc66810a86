#include "core/checkpoint.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <stdexcept>
#include <system_error>

#include "core/error.h"
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

template <class Unwanted>
void remove_files(const fs::path& folder, const Unwanted& unwanted) {
  for (const CheckpointFile& file : files_in(folder)) {
    if (!unwanted(file.round)) continue;
    std::error_code error;
    fs::remove(file.path, error);
    if (error) throw RunError("cannot delete " + file.path.string() + ": " + error.message());
  }
}

}  // namespace

void CheckpointWriter::add(std::string name, std::span<const std::byte> data) {
  add_stream(std::move(name), data.size(), {});
  sections_.back().data = data;
}

void CheckpointWriter::add_stream(std::string name, std::uint64_t bytes, Produce produce) {
  if (!names_.insert(name).second) throw std::logic_error("checkpoint section " + name + " is added twice");
  sections_.push_back({std::move(name), bytes, {}, std::move(produce)});
}

void CheckpointWriter::add_text(std::string name, std::string text) {
  const std::string& copy = copies_.emplace_back(std::move(text));
  add(std::move(name), std::as_bytes(std::span(copy)));
}

// Everything before the first section's data, without the checksum.
ByteBuffer CheckpointWriter::head() const {
  std::size_t table_end = kHeadBytes;
  for (const Section& section : sections_) table_end += kEntryBytes + section.name.size();
  ByteBuffer head(aligned(table_end));
  std::ranges::fill(head, std::byte{0});
  std::size_t entry = kHeadBytes;
  std::uint64_t offset = head.size();
  for (const Section& section : sections_) {
    put(head, entry, static_cast<std::uint32_t>(section.name.size()));
    put(head, entry + 8, section.bytes);
    put(head, entry + 16, offset);
    std::memcpy(head.data() + entry + kEntryBytes, section.name.data(), section.name.size());
    entry += kEntryBytes + section.name.size();
    offset = aligned(offset + section.bytes);
  }
  std::memcpy(head.data(), kMagic.data(), kMagic.size());
  put(head, 8, kVersion);
  put(head, 12, static_cast<std::uint32_t>(sections_.size()));
  put(head, 16, offset);
  return head;
}

// The file from its begin to its end; returns the checksum, for which there are zeros in it.
std::uint64_t CheckpointWriter::write(const Sink& append) const {
  const ByteBuffer begin = head();
  Checksum checksum;
  checksum.add(std::span(begin).first(kChecksumOffset));
  checksum.add(std::span(begin).subspan(kHeadBytes));
  append(begin);
  std::uint64_t written = 0;
  const Sink add = [&](std::span<const std::byte> bytes) {
    written += bytes.size();
    checksum.add(bytes);
    append(bytes);
  };
  for (const Section& section : sections_) {
    written = 0;
    if (section.produce) {
      section.produce(add);
    } else {
      add(section.data);
    }
    if (written != section.bytes)
      throw std::logic_error("checkpoint section " + section.name + " is not as long as it was said to be");
    add(std::span(kZeros).first(aligned(section.bytes) - section.bytes));
  }
  return checksum.value();
}

void CheckpointWriter::commit(const fs::path& path) const {
  if (path.has_parent_path()) make_folder(path.parent_path());
  AtomicFile file(path);
  const std::uint64_t checksum = write([&](std::span<const std::byte> bytes) { file.append(bytes); });
  file.overwrite(kChecksumOffset, std::as_bytes(std::span(&checksum, 1)));
  file.commit();
}

ByteBuffer CheckpointWriter::encode() const {
  ByteBuffer bytes;
  const std::uint64_t checksum =
      write([&](std::span<const std::byte> part) { bytes.insert(bytes.end(), part.begin(), part.end()); });
  put(bytes, kChecksumOffset, checksum);
  return bytes;
}

CheckpointReader::CheckpointReader(const fs::path& path) : name_(path.string()), file_(path) { parse(); }

CheckpointReader::CheckpointReader(std::span<const std::byte> bytes, std::string name)
    : name_(std::move(name)), bytes_(bytes.begin(), bytes.end()) {
  parse();
}

void CheckpointReader::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (file_) {
    file_->read(offset, into);
  } else if (!into.empty()) {
    std::memcpy(into.data(), bytes_.data() + offset, into.size());
  }
}

template <class T>
T CheckpointReader::get(std::uint64_t offset) const {
  T value;
  read(offset, std::as_writable_bytes(std::span(&value, 1)));
  return value;
}

std::uint64_t CheckpointReader::checksum() const {
  constexpr std::uint64_t kPiece = std::uint64_t{1} << 20U;
  ByteBuffer piece(std::min(kPiece, size()));
  Checksum checksum;
  const auto add = [&](std::uint64_t begin, std::uint64_t end) {
    while (begin < end) {
      const auto part = std::span(piece).first(std::min<std::uint64_t>(piece.size(), end - begin));
      read(begin, part);
      checksum.add(part);
      begin += part.size();
    }
  };
  add(0, kChecksumOffset);
  add(kHeadBytes, size());
  return checksum.value();
}

void CheckpointReader::parse() {
  if (size() < kHeadBytes) refuse(size(), "the file ends inside its header");
  std::array<std::byte, kMagic.size()> magic;
  read(0, magic);
  if (std::memcmp(magic.data(), kMagic.data(), kMagic.size()) != 0) refuse(0, "this is no checkpoint");
  if (const auto version = get<std::uint32_t>(8); version != kVersion) {
    refuse(8,
           "version " + std::to_string(version) + "; this program reads version " + std::to_string(kVersion));
  }
  if (const auto length = get<std::uint64_t>(16); length != size()) {
    refuse(16, "the file should have " + std::to_string(length) + " bytes but has " + std::to_string(size()));
  }
  if (checksum() != get<std::uint64_t>(kChecksumOffset)) {
    refuse(kChecksumOffset, "the checksum does not match the content");
  }
  // A checksum is no proof of good intent: the table is checked as if there were none.
  const auto count = get<std::uint32_t>(12);
  std::uint64_t entry = kHeadBytes;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (size() - entry < kEntryBytes) refuse(entry, "the file ends inside its table of sections");
    const auto name_length = get<std::uint32_t>(entry);
    const auto length = get<std::uint64_t>(entry + 8);
    const auto offset = get<std::uint64_t>(entry + 16);
    if (size() - entry - kEntryBytes < name_length) refuse(entry, "a section's name runs past the end");
    if (offset % kAlignment != 0 || offset > size() || size() - offset < length) {
      refuse(entry + 8, "a section's data runs past the end");
    }
    std::string name(name_length, '\0');
    read(entry + kEntryBytes, std::as_writable_bytes(std::span(name)));
    if (!sections_.emplace(std::move(name), Section{offset, length, {}}).second) {
      refuse(entry, "two sections have the same name");
    }
    entry += kEntryBytes + name_length;
  }
}

std::vector<std::string> CheckpointReader::names() const {
  std::vector<std::string> names;
  for (const auto& [name, section] : sections_) names.push_back(name);
  return names;
}

const CheckpointReader::Section& CheckpointReader::find(std::string_view name) const {
  const auto found = sections_.find(name);
  if (found == sections_.end()) refuse(kHeadBytes, "no section " + std::string(name));
  return found->second;
}

std::span<const std::byte> CheckpointReader::section(std::string_view name) const {
  const Section& found = find(name);
  if (!file_) return std::span(bytes_).subspan(found.offset, found.bytes);
  if (found.content.size() != found.bytes) {
    found.content.resize(found.bytes);
    read(found.offset, found.content);
  }
  return found.content;
}

void CheckpointReader::forget(std::string_view name) const { find(name).content = {}; }

std::string_view CheckpointReader::text(std::string_view name) const {
  const auto bytes = section(name);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void CheckpointReader::refuse(std::uint64_t offset, const std::string& reason) const {
  throw FileError(name_ + ", byte " + std::to_string(offset) + ": " + reason);
}

void CheckpointReader::wrong_size(std::string_view name, std::size_t got, std::size_t unit) const {
  refuse(find(name).offset, "section " + std::string(name) + " has " + std::to_string(got) +
                                " bytes, not a whole number of " + std::to_string(unit));
}

fs::path checkpoint_path(const fs::path& folder, Round round) {
  return folder / (round_name(round) + std::string(kSuffix));
}

fs::path client_checkpoint_path(const fs::path& folder, Round round, std::string_view owner) {
  return folder / (round_name(round) + ".clients-" + std::string(owner) + std::string(kSuffix));
}

std::vector<Round> checkpoint_rounds(const fs::path& folder) {
  std::set<Round, std::greater<>> rounds;
  for (const CheckpointFile& file : files_in(folder)) {
    if (file.coordinator && !file.temporary) rounds.insert(file.round);
  }
  return {rounds.begin(), rounds.end()};
}

std::optional<Round> latest_checkpoint(const fs::path& folder) {
  const std::vector<CheckpointFile> files = files_in(folder);
  const std::vector<Round> rounds = checkpoint_rounds(folder);
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
  remove_files(folder, [keep_from](Round round) { return round < keep_from; });
}

void remove_checkpoint(const fs::path& folder, Round round) {
  remove_files(folder, [round](Round of_file) { return of_file == round; });
}

}  // namespace gossamer
