#include "client/datasets/data_file.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>
#include <memory>

#include "core/error.h"

namespace gossamer {
namespace {

std::string limit_reason(std::uint64_t most_bytes) {
  return "longer than the " + std::to_string(most_bytes) + " bytes that are accepted here";
}

std::vector<std::uint8_t> read_whole(const std::filesystem::path& file, std::uint64_t most_bytes) {
  std::error_code failed;
  if (!std::filesystem::is_regular_file(file, failed)) {
    throw FileError(file.string() +
                    (std::filesystem::exists(file, failed) ? ": not a file" : ": no such file"));
  }
  const std::uint64_t size = std::filesystem::file_size(file, failed);
  if (failed) throw FileError(file.string() + ": " + failed.message());
  if (size > most_bytes) refuse_file(file.string(), most_bytes, limit_reason(most_bytes));
  std::ifstream in(file, std::ios::binary);
  if (!in) throw FileError(file.string() + ": cannot be opened: " + std::strerror(errno));
  std::vector<std::uint8_t> bytes(size);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (static_cast<std::uint64_t>(in.gcount()) != size) {
    refuse_file(file.string(), static_cast<std::uint64_t>(in.gcount()), "cannot be read further");
  }
  return bytes;
}

struct Inflater {
  Inflater() {
    // 16: expect a gzip header and check its CRC.
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw std::bad_alloc();
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  z_stream stream{};
};

// The last four bytes of a gzip file say how much comes out. They are only a hint, and deflate cannot do
// better than 1032 to 1.
std::size_t size_hint(const std::vector<std::uint8_t>& packed, std::uint64_t most_bytes) {
  std::uint64_t hint = 0;
  if (packed.size() >= 18) {
    for (std::size_t i = 0; i < 4; ++i) hint |= std::uint64_t{packed[packed.size() - 4 + i]} << (8 * i);
  }
  return static_cast<std::size_t>(std::clamp<std::uint64_t>(
      hint, 1024, std::min<std::uint64_t>(most_bytes, 1032 * packed.size() + 1024)));
}

// One gzip member or several, one after another.
std::vector<std::uint8_t> decompress(const std::string& file, std::vector<std::uint8_t> packed,
                                     std::uint64_t most_bytes) {
  Inflater inflater;
  z_stream& stream = inflater.stream;
  std::vector<std::uint8_t> bytes(size_hint(packed, most_bytes));
  std::size_t made = 0;
  std::size_t taken = 0;
  for (;;) {
    if (made == bytes.size()) {
      if (made > most_bytes)
        refuse_file(file, taken, "decompresses to something " + limit_reason(most_bytes));
      // One byte past the limit tells "exactly full" from "too long".
      bytes.resize(std::min<std::uint64_t>(2 * std::uint64_t{made} + 1, most_bytes + 1));
    }
    constexpr std::size_t kMost = std::numeric_limits<uInt>::max();
    stream.next_in = packed.data() + taken;
    stream.avail_in = static_cast<uInt>(std::min(packed.size() - taken, kMost));
    stream.next_out = bytes.data() + made;
    stream.avail_out = static_cast<uInt>(std::min(bytes.size() - made, kMost));
    const auto in_before = stream.avail_in;
    const auto out_before = stream.avail_out;
    const int status = inflate(&stream, Z_NO_FLUSH);
    taken += in_before - stream.avail_in;
    made += out_before - stream.avail_out;
    if (status == Z_STREAM_END) {
      if (taken == packed.size()) break;
      inflateReset(&stream);
    } else if (status == Z_BUF_ERROR || (status == Z_OK && taken == packed.size() && stream.avail_out > 0)) {
      refuse_file(file, taken, "the compressed data ends early");
    } else if (status != Z_OK) {
      refuse_file(
          file, taken,
          std::string("not a whole gzip file: ") + (stream.msg != nullptr ? stream.msg : "invalid data"));
    }
  }
  if (made > most_bytes) refuse_file(file, taken, "decompresses to something " + limit_reason(most_bytes));
  bytes.resize(made);
  return bytes;
}

}  // namespace

void refuse_file(std::string_view file, std::uint64_t offset, const std::string& reason) {
  throw FileError(std::string(file) + ": offset " + std::to_string(offset) + ": " + reason);
}

std::vector<std::uint8_t> read_data_file(const std::filesystem::path& file, std::uint64_t most_bytes) {
  std::vector<std::uint8_t> bytes = read_whole(file, most_bytes);
  if (file.extension() != ".gz") return bytes;
  return decompress(file.string(), std::move(bytes), most_bytes);
}

std::filesystem::path find_data_file(const std::filesystem::path& folder, const std::string& name,
                                     const std::string& hint) {
  std::error_code ignored;
  if (std::filesystem::exists(folder / name, ignored)) return folder / name;
  if (std::filesystem::exists(folder / (name + ".gz"), ignored)) return folder / (name + ".gz");
  throw FileError((folder / name).string() + ": no such file (nor with .gz); " + hint);
}

}  // namespace gossamer
