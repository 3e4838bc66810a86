#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>

namespace gossamer {

// `count` ascending numbers below `bound` as the gaps between them, in Rice's code (Rice, Plaunt 1971; Golomb
// 1966): a gap's lower bits as they are, behind what is above them in unary. How many lower bits follows from
// the density, so both ends know: about log2(bound / count) + 1.5 bits a number in all, where they lie at
// random.
class IndexCode {
 public:
  // 0 < count <= bound < 2^32.
  IndexCode(std::size_t bound, std::size_t count);

  std::size_t most_bytes() const noexcept;
  // For any number of them.
  static std::size_t most_bytes(std::size_t bound) noexcept;
  // Writes count numbers and returns the length.
  std::size_t encode(std::span<const std::uint32_t> indices, std::byte* out) const noexcept;

  // The numbers again, one after another. Reads nothing but `bytes`.
  class Reader {
   public:
    Reader(const IndexCode& code, std::span<const std::byte> bytes) noexcept : code_(code), bytes_(bytes) {}
    // None where the bytes end, or the number is not below the bound.
    std::optional<std::uint32_t> next() noexcept;
    // After the last number: whether nothing is left but zeros in the last byte.
    bool is_at_end() const noexcept;

   private:
    static constexpr unsigned kWindow = 57;
    std::uint64_t window() const noexcept;
    std::uint64_t last_window(std::size_t byte) const noexcept;

    const IndexCode& code_;
    std::span<const std::byte> bytes_;
    std::uint64_t position_ = 0;   // in bits
    std::uint64_t following_ = 0;  // the least that the next number can be
  };

 private:
  std::size_t bound_, count_;
  int low_bits_;
};

// At least kWindow bits from the position on, the first lowest; zeros behind the end.
inline std::uint64_t IndexCode::Reader::window() const noexcept {
  const auto byte = static_cast<std::size_t>(position_ / 8);
  std::uint64_t bits;
  if (byte + sizeof bits <= bytes_.size()) [[likely]]
    std::memcpy(&bits, bytes_.data() + byte, sizeof bits);
  else
    bits = last_window(byte);
  return bits >> (position_ % 8);
}

inline std::optional<std::uint32_t> IndexCode::Reader::next() noexcept {
  const auto low_bits = static_cast<unsigned>(code_.low_bits_);
  const std::uint64_t most = code_.bound_ >> low_bits;
  std::uint64_t high = 0;
  std::uint64_t bits = window();
  while (bits == 0) {
    high += kWindow;
    position_ += kWindow;
    if (high > most + kWindow || position_ >= 8 * bytes_.size()) return std::nullopt;
    bits = window();
  }
  const auto zeros = static_cast<unsigned>(std::countr_zero(bits));
  high += zeros;
  position_ += zeros + 1;
  const std::uint64_t behind = zeros + 1 + low_bits <= kWindow ? bits >> (zeros + 1) : window();
  const std::uint64_t low = behind & ((std::uint64_t{1} << low_bits) - 1);
  position_ += low_bits;
  if (position_ > 8 * bytes_.size() || high > most) return std::nullopt;
  const std::uint64_t index = following_ + (high << low_bits | low);
  if (index >= code_.bound_) return std::nullopt;
  following_ = index + 1;
  return static_cast<std::uint32_t>(index);
}

}  // namespace gossamer
