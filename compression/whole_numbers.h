#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer {

// Whole numbers from -most to most as digits of base 2 most + 1, as many in each 32-bit word (little-endian)
// as it can hold. Word k of a block of 512 words has the numbers k, k + 512, ... of the block, the first
// least significant, each plus most; in the last block, of m numbers, the step is m by the digits of a word,
// rounded up, and digits behind the last number are 0.
class WholeNumbers {
 public:
  static constexpr int kMost = 16'383;  // the sum of two such numbers is an int16_t
  static constexpr std::size_t kWords = 512;

  // 0 < most <= kMost.
  explicit WholeNumbers(int most) noexcept;

  std::size_t bytes(std::size_t numbers) const noexcept;
  // Writes bytes(numbers.size()); none of the numbers is beyond `most`.
  void pack(std::span<const std::int16_t> numbers, std::byte* out) const noexcept;
  // sum += what is packed; false where pack() could not have written that, and then the sum is of no use. Of
  // sums within kMost - most.
  bool add(std::span<const std::byte> packed, std::span<std::int16_t> sum) const noexcept;

 private:
  std::uint32_t most_, digits_ = 0;  // of a word
};

}  // namespace gossamer
