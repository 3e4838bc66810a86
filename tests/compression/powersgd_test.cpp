// Approximations of low rank by power iterations.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "compression/methods.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

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

}  // namespace
}  // namespace gossamer
