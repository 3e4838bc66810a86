// The probabilities of Wangni et al.'s sparsification.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <string>

#include "compression/methods.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

// How many values travel on average: the sum of p = min(|g| / bound, 1).
double expected_count(const FloatBuffer& g, double bound) {
  double sum = 0;
  for (const float x : g) sum += std::min(std::abs(static_cast<double>(x)) / bound, 1.0);
  return sum;
}

// 1 / lambda, by bisection.
double solved_bound(const FloatBuffer& g, double kept) {
  double low = 0, high = 1e9;
  for (int i = 0; i < 200; ++i) {
    const double middle = (low + high) / 2;
    (expected_count(g, middle) > kept ? low : high) = middle;
  }
  return high;
}

float bound_sent(const Method& method, const FloatBuffer& g) {
  ByteBuffer payload(method.room_bytes(g.size()));
  EXPECT_TRUE(method.encode(g, {}, {1}, payload));
  float bound;
  std::memcpy(&bound, payload.data() + 4, sizeof bound);
  return bound;
}

FloatBuffer through(const Method& method, const FloatBuffer& values, std::uint64_t key) {
  ByteBuffer payload(method.room_bytes(values.size()));
  payload.resize(method.encode(values, {}, {key}, payload).value());
  EXPECT_TRUE(method.is_valid(payload, values.size()));
  FloatBuffer decoded(values.size(), 0.0F);
  method.add(payload, 1, decoded);
  return decoded;
}

TEST(Wangni, HasTheVarianceAndTheCountOfItsProbabilities) {
  const auto method = make_wangni(options_with({{"compression.wangni.density", "0.1"}}));
  FloatBuffer g = normal_floats(1000, 4);
  for (float& x : g) x = std::abs(x);
  const double bound = solved_bound(g, 100);
  double exact = 0, squares = 0;
  for (const float x : g) {
    const auto value = static_cast<double>(x);
    exact += value * value / std::min(value / bound, 1.0);
    squares += value * value;
  }
  // A hundred of a thousand half-normal values: 6.37 in the mean; any hundred, scaled by ten: 10.
  EXPECT_NEAR(exact / squares, 6.3, 0.4);

  constexpr int kDraws = 20'000;
  double sent = 0, seen = 0;
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    const FloatBuffer q = through(*method, g, draw * 0x9E3779B97F4A7C15U);
    for (const float x : q) {
      sent += x == 0 ? 0 : 1.0 / kDraws;
      seen += static_cast<double>(x) * static_cast<double>(x) / kDraws;
    }
  }
  EXPECT_NEAR(sent, 100, 0.4);  // with a standard error of at most 0.071
  EXPECT_NEAR(seen / exact, 1, 0.004);
}

TEST(Wangni, KeepsAsManyAsAreAskedForOfAnyDistribution) {
  for (const double power : {1.0, 3.0, 9.0}) {
    FloatBuffer g = normal_floats(30'001, 5);
    for (float& x : g) x = static_cast<float>(std::copysign(std::pow(std::abs(x), power), x));
    for (const auto& [density, kept] : std::map<std::string, double>{
             {"0.001", 30.001}, {"0.1", 3000.1}, {"0.5", 15000.5}, {"0.9", 27000.9}}) {
      const auto method = make_wangni(options_with({{"compression.wangni.density", density}}));
      const auto bound = static_cast<double>(bound_sent(*method, g));
      EXPECT_NEAR(expected_count(g, bound) / kept, 1, 1e-5) << power << ' ' << density;
    }
  }
}

TEST(Wangni, SendsTheCertainOnesAsTheyAreAndOfTheOthersTheSign) {
  const auto method = make_wangni(options_with({{"compression.wangni.density", "0.2"}}));
  FloatBuffer g = normal_floats(5000, 6);
  for (float& x : g) x = x * x * x;
  const float bound = bound_sent(*method, g);
  std::size_t certain = 0;
  for (std::uint64_t draw = 0; draw < 20; ++draw) {
    const FloatBuffer q = through(*method, g, draw);
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (std::abs(g[i]) >= bound) {
        ASSERT_EQ(q[i], g[i]);
        ++certain;
      } else {
        ASSERT_TRUE(q[i] == 0 || q[i] == std::copysign(bound, g[i])) << i;
      }
    }
  }
  EXPECT_GT(certain, 20 * 100U);
}

TEST(Wangni, IsTheIdentityWhereAllIsKept) {
  const auto method = make_wangni(options_with({{"compression.wangni.density", "1"}}));
  const FloatBuffer g = normal_floats(5000, 7);
  EXPECT_EQ(through(*method, g, 1), g);
  // Also where there are fewer than may travel.
  const auto sparse = make_wangni(options_with({{"compression.wangni.density", "0.1"}}));
  FloatBuffer few(1000, 0.0F);
  for (std::size_t i = 0; i < 99; ++i) few[10 * i] = g[i];
  EXPECT_EQ(through(*sparse, few, 1), few);
}

TEST(Wangni, DrawsProbabilitiesFinerThanItsFirstBits) {
  // p = 2^-18 of each: of 2^22 values 16 on average.
  const auto method = make_wangni(options_with({{"compression.wangni.density", "0.000003814697265625"}}));
  const FloatBuffer ones(1U << 22U, 1.0F);
  double sent = 0;
  for (std::uint64_t draw = 0; draw < 40; ++draw) {
    const FloatBuffer q = through(*method, ones, draw * 0x9E3779B97F4A7C15U);
    for (const float x : q) {
      ASSERT_TRUE(x == 0 || x == 262144.0F);
      sent += x == 0 ? 0 : 1;
    }
  }
  EXPECT_NEAR(sent, 640, 5 * std::sqrt(640.0));
}

TEST(Wangni, TakesTheBytesOfItsFormula) {
  const auto method = make_wangni(options_with({{"compression.wangni.density", "0.01"}}));
  ByteBuffer payload(method->room_bytes(1'000'000));
  const auto bytes = method->encode(normal_floats(1'000'000, 8), {}, {3}, payload);
  ASSERT_TRUE(bytes);
  std::uint32_t count;
  std::memcpy(&count, payload.data(), sizeof count);
  EXPECT_NEAR(count, 10'000, 500);
  // None is certain: two bits each, and at most nine for where it is.
  EXPECT_GE(*bytes, 8 + count * 9 / 8);
  EXPECT_LE(*bytes, 8 + count * 11 / 8);
}

}  // namespace
}  // namespace gossamer
