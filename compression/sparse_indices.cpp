#include "compression/sparse_indices.h"

#include <cstring>

#include "compression/rice_code.h"

namespace gossamer {

IndexCode::IndexCode(std::size_t bound, std::size_t count)
    : bound_(bound), count_(count), low_bits_(static_cast<int>(rice_low_bits(bound, count))) {}

std::size_t IndexCode::most_bytes() const noexcept { return most_rice_bytes(bound_, count_); }

// Two bits for each of the bound at most: where nearly all are there.
std::size_t IndexCode::most_bytes(std::size_t bound) noexcept { return 3 * (bound / 8 + 1); }

std::size_t IndexCode::encode(std::span<const std::uint32_t> indices, std::byte* out) const noexcept {
  std::byte* const begin = out;
  std::uint64_t held = 0;
  int bits = 0;
  const auto drain = [&] {
    while (bits >= 8) {
      *out++ = static_cast<std::byte>(held & 0xFFU);
      held >>= 8U;
      bits -= 8;
    }
  };
  const std::uint64_t mask = (std::uint64_t{1} << static_cast<unsigned>(low_bits_)) - 1;
  std::uint64_t following = 0;
  for (const std::uint32_t index : indices) {
    const std::uint64_t gap = index - following;
    following = std::uint64_t{index} + 1;
    for (std::uint64_t unary = gap >> static_cast<unsigned>(low_bits_);;) {  // so many zeros, then a one
      if (unary < 16) {
        held |= std::uint64_t{1} << (static_cast<unsigned>(bits) + unary);
        bits += static_cast<int>(unary) + 1;
        drain();
        break;
      }
      bits += 16;
      unary -= 16;
      drain();
    }
    held |= (gap & mask) << static_cast<unsigned>(bits);
    bits += low_bits_;
    drain();
  }
  if (bits > 0) *out++ = static_cast<std::byte>(held & 0xFFU);
  return static_cast<std::size_t>(out - begin);
}

std::uint64_t IndexCode::Reader::last_window(std::size_t byte) const noexcept {
  std::uint64_t bits = 0;
  if (byte < bytes_.size()) std::memcpy(&bits, bytes_.data() + byte, bytes_.size() - byte);
  return bits;
}

bool IndexCode::Reader::is_at_end() const noexcept {
  return (position_ + 7) / 8 == bytes_.size() && window() == 0;
}

}  // namespace gossamer
