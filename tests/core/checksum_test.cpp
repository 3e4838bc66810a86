#include "core/checksum.h"

#include <gtest/gtest.h>
#include <xxhash.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/buffers.h"

namespace gossamer {
namespace {

// Around the lengths at which the ways to compute them change.
constexpr std::size_t kFloats[] = {0, 1, 15, 255, 256, 257, 2047, 2048, 2049, 4097, 70001};

std::span<const std::byte> bytes_of(const FloatBuffer& floats) { return std::as_bytes(std::span(floats)); }

FloatBuffer example(std::size_t size) {
  FloatBuffer floats(size);
  for (std::size_t i = 0; i < size; ++i) floats[i] = std::sin(static_cast<float>(i));
  return floats;
}

TEST(Checksum, IsXxh3HoweverItIsComputed) {
  for (const std::size_t size : kFloats) {
    const FloatBuffer floats = example(size + 1);
    for (std::size_t odd = 0; odd < 4; ++odd) {  // of any alignment and length
      const auto bytes = bytes_of(floats).subspan(odd, size * sizeof(float));
      const std::uint64_t expected = XXH3_64bits(bytes.data(), bytes.size());
      EXPECT_EQ(checksum_of(bytes), expected) << size;
      EXPECT_EQ(scan(bytes).checksum, expected) << size;
    }
  }
}

TEST(Checksum, AScanFindsWhatIsNotFiniteWhereverItIs) {
  using Limits = std::numeric_limits<float>;
  for (const std::size_t size : kFloats) {
    FloatBuffer floats = example(size);
    if (size > 0) floats[0] = -Limits::max();
    if (size > 1) floats[1] = Limits::denorm_min();
    EXPECT_TRUE(scan(bytes_of(floats)).finite) << size;
    EXPECT_TRUE(all_finite(bytes_of(floats))) << size;
    for (std::size_t at = 0; at < size; at = at < 20 || at + 20 > size ? at + 1 : at + size / 50 + 1) {
      for (const float bad :
           {Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN(), Limits::signaling_NaN()}) {
        const float good = std::exchange(floats[at], bad);
        EXPECT_FALSE(scan(bytes_of(floats)).finite) << at << " of " << size;
        EXPECT_FALSE(all_finite(bytes_of(floats))) << at << " of " << size;
        floats[at] = good;
      }
    }
  }
}

}  // namespace
}  // namespace gossamer
