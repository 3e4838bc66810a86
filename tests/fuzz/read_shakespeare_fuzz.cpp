#include <cstddef>
#include <cstdint>
#include <span>

#include "client/datasets/shakespeare.h"
#include "core/error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try {
    const gossamer::Play play = gossamer::parse_play("input", bytes);
    for (const gossamer::Role& role : play.roles) {
      for (std::uint32_t start : gossamer::window_starts(role.train.size(), 8)) {
        if (start + 8 >= role.train.size()) __builtin_trap();
      }
    }
  } catch (const gossamer::FileError&) {  // refused, as most inputs should be
  }
  return 0;
}
