// Whatever the bytes are, a checkpoint is read or refused with FileError. Each input is tried as it is, and
// once more behind a header that is right, for a checksum is not found by chance.

#include <cstdint>
#include <cstring>
#include <vector>

#include "core/checkpoint.h"
#include "core/checksum.h"
#include "core/error.h"

namespace {

void read(std::span<const std::byte> bytes) {
  try {
    const gossamer::CheckpointReader reader(bytes, "input");
    std::size_t sum = 0;
    for (const std::string& name : reader.names()) {
      for (const std::byte byte : reader.section(name)) sum += static_cast<std::size_t>(byte);
    }
    volatile std::size_t touched = sum;  // so that every byte is really read
    static_cast<void>(touched);
  } catch (const gossamer::FileError&) {
  }
}

// Magic, version, length and checksum that fit; the number of sections stays the input's.
void repair(std::vector<std::byte>& file) {
  const std::uint32_t version = 1;
  const std::uint64_t length = file.size();
  std::memcpy(file.data(), "GOSSCKPT", 8);
  std::memcpy(file.data() + 8, &version, sizeof(version));
  std::memcpy(file.data() + 16, &length, sizeof(length));
  std::vector<std::byte> covered(file.begin(), file.begin() + 24);
  covered.insert(covered.end(), file.begin() + 32, file.end());
  const std::uint64_t checksum = gossamer::checksum_of(covered);
  std::memcpy(file.data() + 24, &checksum, sizeof(checksum));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read(bytes);
  if (size < 32) return 0;
  std::vector<std::byte> file(bytes.begin(), bytes.end());
  repair(file);
  read(file);
  return 0;
}
