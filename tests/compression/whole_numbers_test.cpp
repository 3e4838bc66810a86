// Whole numbers as digits: what is added is what was packed, and nothing else is taken.
#include "compression/whole_numbers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/rng.h"

namespace gossamer {
namespace {

const std::vector<int> kMosts{1, 2, 3, 4, 5, 7, 8, 16, 31, 64, 100, 127, 1000, 8191, WholeNumbers::kMost};
const std::vector<std::size_t> kCounts{0,   1,   2,    19,   20,   21,    63,    511,   512,
                                       513, 999, 5119, 5120, 5121, 10239, 10240, 10241, 30000};

std::vector<std::int16_t> numbers_up_to(int most, std::size_t count, std::uint64_t seed) {
  Rng rng(seed, Purpose::test);
  std::vector<std::int16_t> numbers(count);
  for (std::int16_t& number : numbers)
    number = static_cast<std::int16_t>(
        static_cast<int>(rng.bits64() % static_cast<std::uint64_t>(2 * most + 1)) - most);
  return numbers;
}

std::vector<std::byte> packed(const WholeNumbers& code, const std::vector<std::int16_t>& numbers) {
  std::vector<std::byte> bytes(code.bytes(numbers.size()));
  code.pack(numbers, bytes.data());
  return bytes;
}

TEST(WholeNumbers, AreAddedAsTheyWerePacked) {
  for (const int most : kMosts) {
    const WholeNumbers code(most);
    for (const std::size_t count : kCounts) {
      for (const int seed : {1, 2}) {
        auto numbers = numbers_up_to(most, count, static_cast<std::uint64_t>(seed));
        // The largest words that there are.
        if (seed == 2) std::ranges::fill(numbers, static_cast<std::int16_t>(most));
        std::vector<std::int16_t> sum(count, 3);
        ASSERT_TRUE(code.add(packed(code, numbers), sum)) << most << ' ' << count;
        for (std::size_t i = 0; i < count; ++i)
          ASSERT_EQ(sum[i], numbers[i] + 3) << most << ' ' << count << ' ' << i;
      }
    }
  }
}

TEST(WholeNumbers, TakeAsManyBitsAsAWordOfThemNeeds) {
  for (const int most : kMosts) {
    const double digits = std::floor(32 / std::log2(2 * most + 1));
    constexpr std::size_t kMany = 1'000'000;
    EXPECT_NEAR(static_cast<double>(WholeNumbers(most).bytes(kMany)) * 8 / kMany, 32 / digits, 1e-3) << most;
  }
  EXPECT_EQ(WholeNumbers(1).bytes(20), 4u);  // 1.6 bits each
  EXPECT_EQ(WholeNumbers(4).bytes(10), 4u);  // 3.2 bits each
  EXPECT_EQ(WholeNumbers(16).bytes(6), 4u);
  EXPECT_EQ(WholeNumbers(16).bytes(7), 8u);
}

TEST(WholeNumbers, OnlyWhatPackingWritesIsTaken) {
  Rng rng(7, Purpose::test);
  for (const int most : kMosts) {
    const WholeNumbers code(most);
    for (const std::size_t count : {1UL, 7UL, 21UL, 700UL, 10'245UL}) {
      std::vector<std::int16_t> sum(count);
      auto bytes = packed(code, numbers_up_to(most, count, 3));
      bytes.pop_back();
      EXPECT_FALSE(code.add(bytes, sum));
      bytes.resize(code.bytes(count) + 4);
      EXPECT_FALSE(code.add(bytes, sum));
      bytes.resize(code.bytes(count));
      std::size_t refused = 0;
      for (int change = 0; change < 200; ++change) {
        auto changed = packed(code, numbers_up_to(most, count, 3));
        changed[rng.bits64() % changed.size()] ^= static_cast<std::byte>(1 + rng.bits64() % 255);
        std::ranges::fill(sum, std::int16_t{0});
        if (code.add(changed, sum)) {
          ASSERT_EQ(packed(code, sum), changed) << most << ' ' << count;
        } else {
          ++refused;
        }
      }
      // A block whose last words are not full has places where no digit may be.
      EXPECT_TRUE(count != 1 || refused > 0) << most;
    }
  }
}

}  // namespace
}  // namespace gossamer
