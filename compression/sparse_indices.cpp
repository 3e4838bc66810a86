#include "compression/sparse_indices.h"

#include <algorithm>
#include <bit>
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

// At least 57 bits from the position on, the first lowest; zeros behind the end.
std::uint64_t IndexCode::Reader::window() const noexcept {
  const std::size_t byte = static_cast<std::size_t>(position_ / 8);
  std::uint64_t bits = 0;
  if (byte < bytes_.size())
    std::memcpy(&bits, bytes_.data() + byte, std::min(sizeof bits, bytes_.size() - byte));
  return bits >> (position_ % 8);
}

std::optional<std::uint32_t> IndexCode::Reader::next() noexcept {
  const auto low_bits = static_cast<unsigned>(code_.low_bits_);
  const std::uint64_t most = code_.bound_ >> low_bits;
  std::uint64_t high = 0;
  std::uint64_t bits = window();
  while (bits == 0) {
    high += 57;
    position_ += 57;
    if (high > most + 57 || position_ >= 8 * bytes_.size()) return std::nullopt;
    bits = window();
  }
  const auto zeros = static_cast<unsigned>(std::countr_zero(bits));
  high += zeros;
  position_ += zeros + 1;
  const std::uint64_t low = window() & ((std::uint64_t{1} << low_bits) - 1);
  position_ += low_bits;
  if (position_ > 8 * bytes_.size() || high > most) return std::nullopt;
  const std::uint64_t index = following_ + (high << low_bits | low);
  if (index >= code_.bound_) return std::nullopt;
  following_ = index + 1;
  return static_cast<std::uint32_t>(index);
}

bool IndexCode::Reader::is_at_end() const noexcept {
  return (position_ + 7) / 8 == bytes_.size() && window() == 0;
}

}  // namespace gossamer
