// Whatever the bytes are, a checkpoint is read or refused with FileError.
#include <cstdint>

#include "core/checkpoint.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const gossamer::CheckpointReader reader(std::as_bytes(std::span(data, size)), "input");
    std::size_t bytes = 0;
    for (const std::string& name : reader.names()) {
      for (const std::byte byte : reader.section(name)) bytes += static_cast<std::size_t>(byte);
    }
    volatile std::size_t read = bytes;  // so that every byte is really touched
    static_cast<void>(read);
  } catch (const gossamer::FileError&) {
  }
  return 0;
}
