// INCEPTIONN's floats of bounded error.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compression/methods.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

std::unique_ptr<Method> bounded_error(const std::string& bound) {
  return make_bounded_error(
      options_with({{"compression.up", "bounded_error"}, {"compression.bounded_error.bound", bound}}));
}

TEST(BoundedError, KeepsTheBoundOfEveryFloat) {
  for (const std::string bound : {"0.0009765625", "0.015625", "0.01", "1", "1e-25", "1e25"}) {
    const auto method = bounded_error(bound);
    // Floats of all exponents and signs, and those next to where a value takes more bits.
    FloatBuffer values{0.0F, -0.0F, 1.0F, -1.0F, 1e-45F, -1e-40F, 3e38F, std::numeric_limits<float>::max()};
    for (int exponent = -149; exponent < 128; ++exponent) {
      for (const float fraction : {1.0F, 1.000001F, 1.37F, 1.9999999F})
        values.push_back((exponent % 2 == 0 ? 1 : -1) * std::ldexp(fraction, exponent));
    }
    const auto limit = static_cast<float>(std::stod(bound));
    for (const float edge : {1.0F, 2.0F, 254.0F, 255.0F, 256.0F, 65534.0F, 65535.0F, 65536.0F}) {
      const float at = edge * limit;
      for (const float x : {at, std::nextafter(at, 0.0F), std::nextafter(at, 2 * at)}) {
        values.push_back(x);
        values.push_back(-x);
      }
    }
    const FloatBuffer got = through(*method, values);
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_LE(std::abs(static_cast<double>(got[i]) - static_cast<double>(values[i])), std::stod(bound))
          << values[i];
  }
}

TEST(BoundedError, TakesAsFewBitsAsAValueNeeds) {
  const auto method = bounded_error("0.5");  // steps of 1
  const auto bits = [&](float x) {
    return 8 * encoded(*method, std::vector<float>(512, x)).size() / 512 - 2;
  };
  for (const auto& [x, wanted] : std::map<float, std::size_t>{{0.0F, 0},
                                                              {0.5F, 0},
                                                              {-0.4F, 0},
                                                              {0.51F, 8},
                                                              {127.4F, 8},
                                                              {-127.0F, 8},
                                                              {127.6F, 16},
                                                              {-32767.25F, 16},
                                                              {32767.6F, 32},
                                                              {-1e9F, 32}})
    EXPECT_EQ(bits(x), wanted) << x;
  // What is sent whole is exact.
  EXPECT_EQ(through(*method, std::vector{123456.78F}), FloatBuffer{123456.78F});
  // Gradients at the paper's bounds: within what it says of them.
  FloatBuffer gradient = normal_floats(100'000);
  for (float& x : gradient) x *= 0.01F;
  const double ratio = 4e5 / static_cast<double>(encoded(*bounded_error("0.0009765625"), gradient).size());
  EXPECT_GE(ratio, 3.1);
}

TEST(BoundedError, RefusesWhatTakesMoreBitsThanItNeeds) {
  const auto method = bounded_error("0.5");
  // One value: the tag's lower bit, its upper, the body.
  const auto is_valid = [&](unsigned low, unsigned high, auto body) {
    ByteBuffer payload{static_cast<std::byte>(low), static_cast<std::byte>(high)};
    const auto bytes = std::as_bytes(std::span(&body, 1));
    payload.insert(payload.end(), bytes.begin(), bytes.end());
    return method->is_valid(payload, 1);
  };
  EXPECT_TRUE(is_valid(1, 0, std::int8_t{-127}));
  EXPECT_FALSE(is_valid(1, 0, std::int8_t{0}));
  EXPECT_FALSE(is_valid(1, 0, std::int8_t{-128}));
  EXPECT_TRUE(is_valid(0, 1, std::int16_t{128}));
  EXPECT_FALSE(is_valid(0, 1, std::int16_t{-127}));
  EXPECT_FALSE(is_valid(0, 1, std::int16_t{-32768}));
  EXPECT_TRUE(is_valid(1, 1, 32767.5F));
  EXPECT_FALSE(is_valid(1, 1, 32767.25F));
  EXPECT_FALSE(is_valid(1, 1, std::numeric_limits<float>::infinity()));
  EXPECT_FALSE(is_valid(1, 1, std::numeric_limits<float>::quiet_NaN()));
  // Tags and bodies that do not go together; a tag behind the last value.
  EXPECT_FALSE(is_valid(0, 0, std::int8_t{1}));
  EXPECT_FALSE(is_valid(0, 1, std::int8_t{1}));
  EXPECT_FALSE(is_valid(3, 0, std::int16_t{0x0101}));
}

}  // namespace
}  // namespace gossamer
