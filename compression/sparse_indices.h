#pragma once

#include <cstddef>
#include <cstdint>
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
    std::uint64_t window() const noexcept;

    const IndexCode& code_;
    std::span<const std::byte> bytes_;
    std::uint64_t position_ = 0;   // in bits
    std::uint64_t following_ = 0;  // the least that the next number can be
  };

 private:
  std::size_t bound_, count_;
  int low_bits_;
};

}  // namespace gossamer
