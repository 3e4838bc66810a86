// Rotations, and sketches of what was rotated.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compression/methods.h"
#include "compression/rotation.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

// What a rotation makes of each value alone, at place 0, where all of Hadamard's matrix's rows have the same
// sign: the value's own.
std::vector<double> signs_of(std::size_t n, std::uint64_t key, std::uint64_t block) {
  std::vector<double> signs;
  for (std::size_t i = 0; i < n; ++i) {
    alignas(64) float rotated[kMostRotation] = {};
    rotated[i] = 1;
    rotate(rotated, n, key, block);
    signs.push_back(rotated[0] < 0 ? -1 : 1);
  }
  return signs;
}

TEST(Rotation, KeepsTheNormAndIsUndoneByItsTranspose) {
  for (std::size_t n = kLeastRotation; n <= kMostRotation; n *= 2) {
    const FloatBuffer values = normal_floats(n, n);
    alignas(64) float rotated[kMostRotation];
    std::ranges::copy(values, rotated);
    rotate(rotated, n, 5, 3);
    const std::span<const float> own(rotated, n);
    EXPECT_NEAR(squares(own), squares(values), 1e-6 * squares(values)) << n;
    EXPECT_GT(distance(own, values), 0.5 * std::sqrt(squares(values)));
    const std::vector<double> signs = signs_of(n, 5, 3);
    double largest = 0;
    for (const float x : values) largest = std::max(largest, static_cast<double>(std::abs(x)));
    for (std::size_t i = 0; i < n; ++i) {
      double back = 0;
      for (std::size_t j = 0; j < n; ++j)
        back += std::popcount(i & j) % 2 == 0 ? static_cast<double>(rotated[j])
                                              : -static_cast<double>(rotated[j]);
      ASSERT_NEAR(signs[i] * back / std::sqrt(static_cast<double>(n)), values[i], 1e-6 * largest) << n;
    }
  }
}

// Of one value alone: the same magnitude everywhere, with the signs of a row of Hadamard's matrix, which are
// those of its index's and the place's common bits.
TEST(Rotation, SpreadsAValueOverAll) {
  constexpr std::size_t n = 1024;
  for (const std::size_t place : {0UL, 1UL, 6UL, 300UL, 1023UL}) {
    alignas(64) float rotated[n] = {};
    rotated[place] = 32;
    rotate(rotated, n, 9, 0);
    const float first = rotated[0];
    EXPECT_EQ(std::abs(first), 1.0F);
    for (std::size_t i = 0; i < n; ++i)
      ASSERT_EQ(rotated[i], std::popcount(i & place) % 2 == 0 ? first : -first) << place << ' ' << i;
  }
}

TEST(Rotation, BlocksAndKeysHaveSignsOfTheirOwn) {
  const auto rotated = [](std::uint64_t key, std::uint64_t block) {
    alignas(64) float values[kLeastRotation];
    std::ranges::fill(values, 1.0F);
    rotate(values, kLeastRotation, key, block);
    return std::vector<float>(values, values + kLeastRotation);
  };
  EXPECT_EQ(rotated(1, 0), rotated(1, 0));
  EXPECT_NE(rotated(1, 0), rotated(1, 1));
  EXPECT_NE(rotated(1, 0), rotated(2, 0));
}

std::unique_ptr<Method> sketched(std::map<std::string, std::string> keys) {
  keys.emplace("compression.up", "sketched");
  return make_sketched(options_with(keys));
}

TEST(Sketched, TakesItsBitsAndAFewMoreABlock) {
  const auto method = sketched({});
  EXPECT_EQ(method->most_bytes(4096), 8 + 8 + 1024U);
  EXPECT_EQ(method->most_bytes(4097), 8 + 8 + 1024 + 8 + 64U);  // the rest is padded to 256
  EXPECT_EQ(sketched({{"compression.sketched.bits", "8"}})->most_bytes(300), 8 + 8 + 512U);
  // The setting of the papers' comparison: at least 40 times fewer bytes.
  const auto sparse = sketched({{"compression.sketched.density", "0.25"}});
  EXPECT_GE(4.0 * 199'210 / static_cast<double>(sparse->most_bytes(199'210)), 40);
}

// Whichever lane of whatever processor the zeros are in.
TEST(Sketched, TheLeastValueIsNoNegativeZero) {
  const auto method = sketched({{"compression.sketched.rotation", "false"}});
  // From a place on all zeros are negative; nothing is padded.
  for (const std::size_t first : {0UL, 1UL, 240UL, 255UL, 256UL}) {
    FloatBuffer values(256, 0.0F);
    std::fill(values.begin() + static_cast<std::ptrdiff_t>(first), values.end(), -0.0F);
    values[5] = 2;
    ByteBuffer payload(method->room_bytes(values.size()));
    ASSERT_TRUE(method->encode(values, {}, {}, payload));
    float low;
    std::memcpy(&low, payload.data() + sizeof(std::uint64_t), sizeof low);
    EXPECT_EQ(low, 0.0F);
    EXPECT_FALSE(std::signbit(low)) << first;
  }
}

TEST(Sketched, WithoutRotationAValueIsOneOfTheLevels) {
  const auto method = sketched({{"compression.sketched.rotation", "false"}});
  FloatBuffer values = normal_floats(4096);
  const auto [least, largest] = std::ranges::minmax(values);
  const double step = (static_cast<double>(largest) - static_cast<double>(least)) / 3;
  const FloatBuffer got = through(*method, values);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double level = (static_cast<double>(got[i]) - static_cast<double>(least)) / step;
    ASSERT_NEAR(level, std::round(level), 1e-5);
    ASSERT_LT(std::abs(static_cast<double>(got[i]) - static_cast<double>(values[i])), step * 1.0001);
  }
}

// What the rotation is for: of a vector of one large value among small ones the range is that value's, and
// the error is up to half a step everywhere.
TEST(Sketched, ARotationMakesTheErrorOfASpikeSmaller) {
  FloatBuffer values = normal_floats(4096);
  values[1234] = 300;
  const auto error = [&](const std::string& rotation) {
    return distance(
        through(*sketched({{"compression.sketched.bits", "4"}, {"compression.sketched.rotation", rotation}}),
                values),
        values);
  };
  EXPECT_LT(error("true"), 0.5 * error("false"));
}

// Where 1 bit a value is all there is, the error is larger than the vector; what is left out must not grow.
TEST(Sketched, ErrorFeedbackStaysBounded) {
  for (const std::string density : {"1", "0.5"}) {
    const auto method = make_error_feedback(sketched({{"compression.sketched.bits", "1"},
                                                      {"compression.sketched.density", density},
                                                      {"compression.error_feedback", "on"}}));
    FloatBuffer residual(5000, 0.0F);
    double largest = 0;
    for (std::uint64_t step = 0; step < 300; ++step) {
      const FloatBuffer values = normal_floats(5000, step);
      encoded(*method, values, residual, step);
      if (step == 100) largest = squares(residual);
    }
    EXPECT_LT(squares(residual), 1.5 * largest);
    EXPECT_LT(squares(residual), 5000 * 400.0);
  }
}

TEST(Sketched, RefusesWhatCouldOverflowAndCodesWithoutAStep) {
  const auto method = sketched({{"compression.sketched.bits", "2"}});
  const auto is_valid = [&](float low, float step, std::byte code) {
    ByteBuffer payload(method->most_bytes(700), std::byte{0});
    std::memcpy(payload.data() + 8, &low, sizeof low);
    std::memcpy(payload.data() + 12, &step, sizeof step);
    payload.back() = code;
    return method->is_valid(payload, 700);
  };
  const float nan = std::numeric_limits<float>::quiet_NaN(),
              infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(is_valid(-1, 0.5F, std::byte{3}));
  EXPECT_TRUE(is_valid(-1, 0, std::byte{0}));
  EXPECT_FALSE(is_valid(-1, 0, std::byte{1}));
  EXPECT_FALSE(is_valid(-1, -0.5F, std::byte{0}));
  for (const float bad : {nan, infinity, -infinity, 0x1p108F}) {
    EXPECT_FALSE(is_valid(bad, 0.5F, std::byte{0}));
    EXPECT_FALSE(is_valid(0, bad, std::byte{0}));
  }
}

}  // namespace
}  // namespace gossamer
