// What the methods that change a vector's basis, or restrict it to a subspace, give by their papers.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <vector>

#include "compression/methods.h"
#include "compression/rotation.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

std::vector<float> floats_of(std::span<const std::byte> bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

double distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double off = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += off * off;
  }
  return std::sqrt(sum);
}

// A B of so many columns and rows in between.
FloatBuffer product(std::size_t rows, std::size_t columns, std::size_t rank, std::uint64_t seed) {
  const FloatBuffer a = normal_floats(rows * rank, seed), b = normal_floats(rank * columns, seed + 1);
  FloatBuffer m(rows * columns, 0.0F);
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t k = 0; k < rank; ++k) {
      for (std::size_t j = 0; j < columns; ++j) m[i * columns + j] += a[i * rank + k] * b[k * columns + j];
    }
  }
  return m;
}

std::unique_ptr<Method> powersgd(const std::string& rank, std::vector<std::int64_t> shape) {
  return make_powersgd(options_with({{"compression.up", "powersgd"}, {"compression.powersgd.rank", rank}}),
                       shape);
}

TEST(PowerSgd, ReproducesAMatrixOfItsRank) {
  struct Case {
    std::string rank;
    std::int64_t rows, columns;
    std::size_t own;  // of the matrix
  };
  // Columns within a panel and beyond it, rows and ranks in whole tiles and in part of one.
  for (const Case& one : std::vector<Case>{{"4", 64, 512, 4},
                                           {"4", 37, 5001, 4},
                                           {"1", 13, 17, 1},
                                           {"7", 61, 3001, 5},
                                           {"19", 103, 1025, 19},
                                           {"2", 4099, 9, 2}}) {
    const auto rows = static_cast<std::size_t>(one.rows), columns = static_cast<std::size_t>(one.columns);
    const auto method = powersgd(one.rank, {one.rows, one.columns});
    const FloatBuffer m = product(rows, columns, one.own, 7);
    EXPECT_EQ(method->most_bytes(m.size()), std::stoul(one.rank) * (rows + columns) * sizeof(float));
    EXPECT_LE(distance(through(*method, m), m), 2e-5 * std::sqrt(squares(m))) << one.rank << ' ' << rows;
  }
}

TEST(PowerSgd, SendsAnOrthonormalBasisAndTheCoordinatesInIt) {
  constexpr std::size_t kRows = 301, kColumns = 203, kRank = 6;
  const auto method = powersgd("6", {kRows, 7, 29});
  const FloatBuffer m = normal_floats(kRows * kColumns);
  FloatBuffer state(method->state_floats(m.size()), 0.0F);
  EXPECT_EQ(state.size(), kRank * kColumns);
  const std::vector<float> factors = floats_of(encoded(*method, m, state, 1));
  const std::span<const float> p = std::span(factors).first(kRank * kRows),
                               q = std::span(factors).subspan(kRank * kRows);
  for (std::size_t k = 0; k < kRank; ++k) {
    for (std::size_t l = 0; l <= k; ++l) {
      double dot = 0;
      for (std::size_t i = 0; i < kRows; ++i) dot += static_cast<double>(p[k * kRows + i]) * p[l * kRows + i];
      EXPECT_NEAR(dot, k == l ? 1 : 0, 1e-6);
    }
    for (std::size_t j = 0; j < kColumns; ++j) {
      double wanted = 0;
      for (std::size_t i = 0; i < kRows; ++i)
        wanted += static_cast<double>(m[i * kColumns + j]) * p[k * kRows + i];
      ASSERT_NEAR(q[k * kColumns + j], wanted, 1e-5);
    }
  }
  // What is decoded is their product.
  const FloatBuffer got = decoded(*method, std::as_bytes(std::span(factors)), m.size());
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t j = 0; j < kColumns; ++j) {
      double wanted = 0;
      for (std::size_t k = 0; k < kRank; ++k)
        wanted += static_cast<double>(p[k * kRows + i]) * q[k * kColumns + j];
      ASSERT_NEAR(got[i * kColumns + j], wanted, 1e-5);
    }
  }
}

// Messages of one matrix: each is a step of subspace iteration from the one before, which comes to the best
// approximation there is of that rank (Eckart, Young).
TEST(PowerSgd, AWarmStartComesToTheBestApproximation) {
  constexpr std::size_t kRows = 80, kColumns = 96;
  // Singular values 8, 6, 1, 0.5: of orthonormal cosines.
  const std::vector<double> singular{8, 6, 1, 0.5};
  FloatBuffer m(kRows * kColumns, 0.0F);
  for (std::size_t i = 0; i < kRows; ++i) {
    for (std::size_t j = 0; j < kColumns; ++j) {
      double sum = 0;
      for (std::size_t k = 0; k < singular.size(); ++k) {
        const double pi = std::acos(-1.0), order = static_cast<double>(k + 1);
        sum += singular[k] * std::sqrt(2.0 / kRows) *
               std::cos(pi * (static_cast<double>(i) + 0.5) * order / kRows) * std::sqrt(2.0 / kColumns) *
               std::cos(pi * (static_cast<double>(j) + 0.5) * order / kColumns);
      }
      m[i * kColumns + j] = static_cast<float>(sum);
    }
  }
  const double best = std::sqrt(1.0 + 0.25);  // of the singular values left out
  const auto method = powersgd("2", {kRows, kColumns});
  FloatBuffer state(method->state_floats(m.size()), 0.0F);
  const auto error = [&](std::uint64_t step) {
    return distance(decoded(*method, encoded(*method, m, state, step), m.size()), m);
  };
  const double first = error(1);
  EXPECT_GT(first, best * 1.001);
  double last = first;
  for (std::uint64_t step = 2; step < 8; ++step) last = error(step);
  EXPECT_NEAR(last, best, 1e-5);
}

TEST(PowerSgd, ErrorFeedbackSendsEverythingInTheEnd) {
  constexpr std::size_t kRows = 24, kColumns = 40;
  const auto method = make_error_feedback(powersgd("2", {kRows, kColumns}));
  const FloatBuffer m = normal_floats(kRows * kColumns), zeros(m.size(), 0.0F);
  EXPECT_EQ(method->state_floats(m.size()), m.size() + 2 * kColumns);
  FloatBuffer state(method->state_floats(m.size()), 0.0F);
  FloatBuffer sent = decoded(*method, encoded(*method, m, state, 1), m.size());
  double left = distance(sent, m);
  EXPECT_GT(left, 0.5 * std::sqrt(squares(m)));
  for (std::uint64_t step = 2; step < 200; ++step) method->add(encoded(*method, zeros, state, step), 1, sent);
  left = distance(sent, m);
  EXPECT_LT(left, 1e-4 * std::sqrt(squares(m)));
}

TEST(PowerSgd, OfZerosAndOfALowerRankNothingIsAmiss) {
  constexpr std::size_t kRows = 40, kColumns = 50;
  const auto method = powersgd("4", {kRows, kColumns});
  FloatBuffer state(method->state_floats(kRows * kColumns), 0.0F);
  const auto sent = [&](const FloatBuffer& m, std::uint64_t key) {
    return decoded(*method, encoded(*method, m, state, key), m.size());
  };
  const FloatBuffer zeros(kRows * kColumns, 0.0F);
  EXPECT_EQ(sent(zeros, 1), zeros);
  // The state has nothing in it any more, and is drawn anew.
  const FloatBuffer one = product(kRows, kColumns, 1, 5), four = product(kRows, kColumns, 4, 9);
  EXPECT_LE(distance(sent(one, 2), one), 1e-5 * std::sqrt(squares(one)));
  EXPECT_LE(distance(sent(four, 3), four), 1e-4 * std::sqrt(squares(four)));
}

TEST(PowerSgd, VeryLargeAndVerySmallMatricesKeepTheirDigits) {
  constexpr std::size_t kRows = 40, kColumns = 50;
  const auto method = powersgd("4", {kRows, kColumns});
  const FloatBuffer m = product(kRows, kColumns, 4, 9);
  for (const float scale : {1e-36F, 1e-20F, 1e20F, 1e36F}) {
    FloatBuffer scaled = m;
    for (float& x : scaled) x *= scale;
    const FloatBuffer got = through(*method, scaled);
    for (std::size_t i = 0; i < m.size(); ++i) ASSERT_NEAR(got[i] / scale, m[i], 1e-4) << scale;
  }
  // Even where a column's length is no float.
  FloatBuffer largest(m.size(), std::numeric_limits<float>::max());
  for (const float x : through(*method, largest)) ASSERT_TRUE(std::isfinite(x));
}

TEST(PowerSgd, VectorsAndSmallMatricesTravelAsTheyAre) {
  const FloatBuffer values = normal_floats(640);
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{640}, {}, {1, 640}, {640, 1}, {128, 5}, {99, 99}}) {
    const auto method = powersgd("5", shape);
    EXPECT_EQ(method->state_floats(640), 0U);
    EXPECT_EQ(method->most_bytes(640), 640 * sizeof(float));
    EXPECT_EQ(through(*method, values), values);
  }
  EXPECT_EQ(powersgd("5", {16, 40})->most_bytes(640), 5 * 56 * sizeof(float));
}

TEST(PowerSgd, RefusesFactorsThatNoSenderWrites) {
  const auto method = powersgd("2", {20, 30});
  FloatBuffer state(method->state_floats(600), 0.0F);
  const std::vector<float> good = floats_of(encoded(*method, normal_floats(600), state, 1));
  const auto is_valid = [&](std::size_t at, float x) {
    auto changed = good;
    changed[at] = x;
    return method->is_valid(std::as_bytes(std::span(changed)), 600);
  };
  EXPECT_TRUE(is_valid(5, 1.0F));
  EXPECT_FALSE(is_valid(5, -1.0001F));
  EXPECT_FALSE(is_valid(5, std::numeric_limits<float>::quiet_NaN()));
  EXPECT_TRUE(is_valid(45, 0x1p125F));
  EXPECT_FALSE(is_valid(45, 0x1.01p125F));  // twice that is the most that a float holds, nearly
  EXPECT_FALSE(is_valid(45, std::numeric_limits<float>::quiet_NaN()));
}

TEST(PowerSgd, RefusesAStateOrAValueThatIsNoNumber) {
  const auto method = powersgd("2", {20, 30});
  const FloatBuffer values = normal_floats(600);
  ByteBuffer payload(method->most_bytes(600));
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    FloatBuffer state(method->state_floats(600), 0.0F), broken = values;
    broken[311] = bad;
    EXPECT_FALSE(method->encode(broken, state, {1}, payload));
    state.assign(state.size(), 0.5F);
    state[7] = bad;
    EXPECT_FALSE(method->encode(values, state, {1}, payload));
  }
}

std::unique_ptr<Method> low_rank(const std::string& feedback, std::vector<std::int64_t> shape) {
  return make_low_rank(options_with({{"compression.up", "low_rank"},
                                     {"compression.low_rank.rank", "3"},
                                     {"compression.error_feedback", feedback}}),
                       shape);
}

TEST(LowRank, SendsASeedAndOneFactor) {
  const FloatBuffer m = normal_floats(20 * 5001);
  const auto method = low_rank("off", {20, 3, 1667});
  EXPECT_EQ(method->most_bytes(m.size()), 8 + 4 * 3 * 5001U);
  // Every row is one of three, or its negative, which are sums of the rows with that sign; each of six or
  // seven rows.
  const FloatBuffer got = through(*method, m);
  const auto row = [](const FloatBuffer& of, std::size_t i) { return std::span(of).subspan(i * 5001, 5001); };
  for (std::size_t i = 0; i < 20; ++i) {
    std::vector<double> wanted(5001);
    std::size_t rows = 0;
    for (std::size_t j = 0; j < 20; ++j) {
      const float sign = row(got, i)[0] / row(got, j)[0];
      if (sign != 1 && sign != -1) continue;
      ++rows;
      for (std::size_t c = 0; c < wanted.size(); ++c) wanted[c] += static_cast<double>(sign * row(m, j)[c]);
    }
    EXPECT_TRUE(rows == 6 || rows == 7) << rows;
    for (std::size_t c = 0; c < wanted.size(); ++c) ASSERT_NEAR(row(got, i)[c], wanted[c], 1e-4);
  }
}

TEST(LowRank, WithErrorFeedbackIsAnOrthogonalProjection) {
  const FloatBuffer m = normal_floats(40 * 50);
  const auto method = low_rank("auto", {40, 50});
  for (std::uint64_t key = 1; key < 10; ++key) {
    const FloatBuffer once = through(*method, m, key), twice = through(*method, once, key);
    EXPECT_LE(distance(once, twice), 1e-5 * std::sqrt(squares(once)));
    // By Pythagoras what is left out is orthogonal to what is sent.
    const double left = distance(once, m);
    EXPECT_NEAR(squares(once) + left * left, squares(m), 1e-5 * squares(m));
    EXPECT_NEAR(squares(once) / squares(m), 3.0 / 40, 0.05);
  }
}

TEST(LowRank, ErrorFeedbackSendsEverythingInTheEnd) {
  const auto method = make_error_feedback(low_rank("on", {12, 30}));
  const FloatBuffer m = normal_floats(360), zeros(360, 0.0F);
  FloatBuffer residual(360, 0.0F);
  FloatBuffer sent = decoded(*method, encoded(*method, m, residual, 1), 360);
  for (std::uint64_t step = 2; step < 120; ++step)
    method->add(encoded(*method, zeros, residual, step * 977), 1, sent);
  EXPECT_LT(distance(sent, m), 1e-4 * std::sqrt(squares(m)));
}

TEST(LowRank, VectorsAndSmallMatricesTravelAsTheyAre) {
  const FloatBuffer values = normal_floats(30);
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{30}, {}, {1, 30}, {3, 10}, {15, 2, 2}})
    EXPECT_EQ(through(*low_rank("off", shape), values), values);
}

TEST(LowRank, OfTheLargestFloatsNothingOverflows) {
  for (const std::string feedback : {"on", "off"}) {
    const auto method = low_rank(feedback, {40, 50});
    const FloatBuffer m(2000, std::numeric_limits<float>::max());
    for (const float x : through(*method, m)) ASSERT_TRUE(std::isfinite(x));
  }
}

TEST(RandomMask, IsTheVectorRestrictedToTheMask) {
  constexpr std::size_t kLength = 2000, kKept = 140;
  const auto method = make_random_mask(
      options_with({{"compression.up", "random_mask"}, {"compression.random_mask.density", "0.07"}}));
  const FloatBuffer values = normal_floats(kLength);
  // The seed and the values travel, and nothing else.
  EXPECT_EQ(method->most_bytes(kLength), sizeof(std::uint64_t) + kKept * sizeof(float));
  for (std::uint64_t key = 1; key < 20; ++key) {
    const FloatBuffer mask = through(*method, FloatBuffer(kLength, 1.0F), key);
    const FloatBuffer got = through(*method, values, key);
    EXPECT_EQ(std::ranges::count(mask, 1.0F), static_cast<std::ptrdiff_t>(kKept));
    for (std::size_t i = 0; i < kLength; ++i) ASSERT_EQ(got[i], mask[i] == 1 ? values[i] : 0) << i;
  }
}

TEST(Rotation, KeepsTheNormAndIsUndone) {
  for (std::size_t n = kLeastRotation; n <= kMostRotation; n *= 2) {
    const FloatBuffer values = normal_floats(n, n);
    alignas(64) float rotated[kMostRotation];
    std::ranges::copy(values, rotated);
    rotate(rotated, n, 5, 3);
    const std::span<const float> own(rotated, n);
    EXPECT_NEAR(squares(own), squares(values), 1e-6 * squares(values)) << n;
    EXPECT_GT(distance(own, values), 0.5 * std::sqrt(squares(values)));
    rotate_back(rotated, n, 5, 3);
    double largest = 0;
    for (const float x : values) largest = std::max(largest, static_cast<double>(std::abs(x)));
    for (std::size_t i = 0; i < n; ++i) ASSERT_NEAR(rotated[i], values[i], 1e-6 * largest) << n;
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
