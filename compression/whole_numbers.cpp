#include "compression/whole_numbers.h"

#include <algorithm>
#include <bit>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/whole_numbers.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

// Loops that the compiler turns into vectors of each kind of processor.
HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

constexpr std::size_t kWords = WholeNumbers::kWords;

void pack_numbers(const std::int16_t* HWY_RESTRICT numbers, std::size_t n, std::uint32_t most,
                  std::uint32_t digits, std::byte* HWY_RESTRICT out) {
  const std::uint32_t base = 2 * most + 1;
  for (std::size_t begin = 0; begin < n; begin += digits * kWords) {
    const std::size_t length = std::min(digits * kWords, n - begin), step = (length + digits - 1) / digits;
    std::uint32_t words[kWords] = {};
    for (std::uint32_t digit = digits; digit-- > 0;) {
      const std::size_t first = std::min(length, digit * step), count = std::min(step, length - first);
      const std::int16_t* const from = numbers + begin + first;
      for (std::size_t k = 0; k < count; ++k)
        words[k] = words[k] * base + static_cast<std::uint32_t>(from[k] + static_cast<std::int32_t>(most));
    }
    std::memcpy(out, words, step * sizeof(std::uint32_t));
    out += step * sizeof(std::uint32_t);
  }
}

// A word by the base, in whole numbers: multiplied by 2^(32 + shift) / base, rounded up, of which `factor` is
// what is above 2^32 (Granlund, Montgomery: Division by invariant integers using multiplication, 1994).
struct Divisor {
  explicit Divisor(std::uint32_t base)
      : shift(static_cast<std::uint32_t>(std::bit_width(base)) - 1),
        factor(static_cast<std::uint32_t>(((std::uint64_t{1} << 33U << shift) / base + 1) -
                                          (std::uint64_t{1} << 32U))) {}
  std::uint32_t quotient(std::uint32_t word) const {
    const auto high = static_cast<std::uint32_t>((std::uint64_t{word} * factor) >> 32U);
    return (((word - high) >> 1U) + high) >> shift;
  }
  std::uint32_t shift, factor;
};

bool add_numbers(const std::byte* HWY_RESTRICT packed, std::size_t n, std::uint32_t most,
                 std::uint32_t digits, std::int16_t* HWY_RESTRICT sum) {
  const std::uint32_t base = 2 * most + 1;
  const Divisor by(base);
  std::uint32_t left_over = 0;
  for (std::size_t begin = 0; begin < n; begin += digits * kWords) {
    const std::size_t length = std::min(digits * kWords, n - begin), step = (length + digits - 1) / digits;
    std::uint32_t words[kWords];
    std::memcpy(words, packed, step * sizeof(std::uint32_t));
    packed += step * sizeof(std::uint32_t);
    for (std::uint32_t digit = 0; digit < digits; ++digit) {
      const std::size_t first = std::min(length, digit * step), count = std::min(step, length - first);
      std::int16_t* const to = sum + begin + first;
      // Behind the last number nothing is left of a word.
      for (std::size_t k = count; k < step; ++k) left_over |= words[k];
      for (std::size_t k = 0; k < count; ++k) {
        const std::uint32_t rest = by.quotient(words[k]);
        const std::uint32_t number = words[k] - rest * base - most;
        to[k] = static_cast<std::int16_t>(to[k] + static_cast<std::int16_t>(number));
        words[k] = rest;
      }
    }
    for (std::size_t k = 0; k < step; ++k) left_over |= words[k];
  }
  return left_over == 0;
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(pack_numbers);
HWY_EXPORT(add_numbers);

}  // namespace

WholeNumbers::WholeNumbers(int most) noexcept : most_(static_cast<std::uint32_t>(most)) {
  const std::uint64_t base = 2 * most_ + 1;
  for (std::uint64_t values = base; values <= std::uint64_t{1} << 32U; values *= base) ++digits_;
}

std::size_t WholeNumbers::bytes(std::size_t numbers) const noexcept {
  const std::size_t block = digits_ * kWords, last = numbers % block;
  return (numbers / block * kWords + (last + digits_ - 1) / digits_) * sizeof(std::uint32_t);
}

void WholeNumbers::pack(std::span<const std::int16_t> numbers, std::byte* out) const noexcept {
  HWY_DYNAMIC_DISPATCH(pack_numbers)(numbers.data(), numbers.size(), most_, digits_, out);
}

bool WholeNumbers::add(std::span<const std::byte> packed, std::span<std::int16_t> sum) const noexcept {
  if (packed.size() != bytes(sum.size())) return false;
  return HWY_DYNAMIC_DISPATCH(add_numbers)(packed.data(), sum.size(), most_, digits_, sum.data());
}

}  // namespace gossamer
#endif
