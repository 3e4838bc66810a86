// What each method is known to give, by its paper.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <vector>

#include "compression/methods.h"
#include "compression/sparse_indices.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

TEST(Fp16, RoundsToTheNearestAndTiesToEven) {
  const auto method = make_fp16(options_with({}));
  const std::vector<std::pair<float, float>> known{
      {1.0F, 1.0F},
      {1.0F + 0x1p-11F, 1.0F},                // a tie, to even
      {1.0F + 0x1.8p-10F, 1.0F + 0x1p-9F},    // a tie, to even
      {1.0F + 0x1.01p-11F, 1.0F + 0x1p-10F},  // above a tie
      {65504.0F, 65504.0F},
      {65519.0F, 65504.0F},
      {1e10F, 65504.0F},  // the largest that there is
      {-1e10F, -65504.0F},
      {0x1p-14F, 0x1p-14F},
      {0x1p-24F, 0x1p-24F},  // the smallest
      {0x1p-25F, 0.0F},      // a tie, to even
      {0x1.8p-24F, 0x1p-23F},
      {0x1.01p-25F, 0x1p-24F},
      {-0x1.8p-15F, -0x1.8p-15F},
      {1e-30F, 0.0F},
  };
  for (const auto& [given, wanted] : known)
    EXPECT_EQ(through(*method, std::vector{given})[0], wanted) << given;
}

TEST(Fp16, DecodesEveryNumberThatThereIs) {
  const auto method = make_fp16(options_with({}));
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const auto payload = std::as_bytes(std::span(&half, 1));
    const int exponent = (half >> 10U) & 31;
    ASSERT_EQ(method->is_valid(payload, 1), exponent != 31) << bits;
    if (exponent == 31) continue;
    const double fraction = half & 0x3FFU;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    float value = 0;
    method->add(payload, 1, std::span(&value, 1));
    ASSERT_EQ(value, static_cast<float>(half >> 15U ? -magnitude : magnitude)) << bits;
    ByteBuffer again = encoded(*method, std::vector{value});
    ASSERT_TRUE(value == 0 || std::memcmp(again.data(), &half, sizeof half) == 0) << bits;
  }
}

TEST(Bf16, RoundsToTheNearestAndTiesToEven) {
  const auto method = make_bf16(options_with({}));
  EXPECT_EQ(through(*method, std::vector{1.0F + 0x1p-8F})[0], 1.0F);
  EXPECT_EQ(through(*method, std::vector{1.0F + 0x1.8p-7F})[0], 1.0F + 0x1p-6F);
  EXPECT_EQ(through(*method, std::vector{1.0F + 0x1.01p-8F})[0], 1.0F + 0x1p-7F);
  EXPECT_EQ(through(*method, std::vector{std::numeric_limits<float>::max()})[0], 0x1.FEp127F);
}

TEST(OneBit, SendsTheMeanOfEitherSide) {
  const auto method = make_one_bit(options_with({{"compression.up", "one_bit"}}));
  EXPECT_EQ(through(*method, std::vector<float>{1, -2, 3, -4, 0, 8}), (FloatBuffer{3, -3, 3, -3, 3, 3}));
  EXPECT_EQ(through(*method, std::vector<float>{2, 4}), (FloatBuffer{3, 3}));  // an empty side
  EXPECT_EQ(through(*method, std::vector<float>{-2, -4}), (FloatBuffer{-3, -3}));
}

TEST(OneBit, TakesABitAValueAndTwoMeansABlock) {
  const auto method = make_one_bit(options_with({{"compression.one_bit.block", "4096"}}));
  EXPECT_EQ(method->most_bytes(4096), 8U + 512U);
  EXPECT_EQ(method->most_bytes(4097), 8U + 512U + 8U + 1U);
  EXPECT_EQ(method->most_bytes(5), 9U);
}

TEST(TernGrad, HasTheVarianceOfThePaper) {
  // g = (.30, -1.20, .9, .05): E t = g, E |t|^2 = s |g|_1 = 2.94.
  const auto method = make_terngrad(options_with({{"compression.terngrad.clip", "0"}}));
  const std::vector<float> g{0.30F, -1.20F, 0.9F, 0.05F};
  constexpr int kDraws = 400'000;
  std::array<double, 4> mean{};
  double norm = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const FloatBuffer t = through(*method, g, static_cast<std::uint64_t>(draw));
    for (std::size_t i = 0; i < 4; ++i) {
      ASSERT_TRUE(t[i] == 0 || std::abs(t[i]) == 1.2F);
      mean[i] += static_cast<double>(t[i]) / kDraws;
      norm += static_cast<double>(t[i]) * static_cast<double>(t[i]) / kDraws;
    }
  }
  for (std::size_t i = 0; i < 4; ++i) EXPECT_NEAR(mean[i], g[i], 0.004) << i;
  EXPECT_NEAR(norm, 2.94, 0.01);
}

TEST(TernGrad, ClipsAtStandardDeviations) {
  const auto method = make_terngrad(options_with({{"compression.terngrad.clip", "2.5"}}));
  FloatBuffer values = normal_floats(10000);
  values[17] = 100;
  double squares = 0, sum = 0;
  for (const float x : values) {
    sum += static_cast<double>(x);
    squares += static_cast<double>(x) * static_cast<double>(x);
  }
  const double deviation = std::sqrt(squares / 10000 - sum / 10000 * sum / 10000);
  EXPECT_NEAR(through(*method, values)[17], 2.5 * deviation, 1e-4);
}

TEST(TernGrad, PacksFiveValuesAByte) {
  const auto method = make_terngrad(options_with({}));
  for (const auto& [floats, bytes] : std::map<std::size_t, std::size_t>{
           {1, 1}, {4, 1}, {5, 1}, {6, 2}, {2560, 512}, {2561, 513}, {1'663'370, 332'674}})
    EXPECT_EQ(method->most_bytes(floats), 4 + bytes) << floats;
}

TEST(Qsgd, HasTheExactVariance) {
  // (|v| / s)^2 sum p (1 - p), by levels of the Euclidean norm.
  const auto method =
      make_qsgd(options_with({{"compression.qsgd.bits", "4"}, {"compression.qsgd.norm", "l2"}}));
  constexpr double kLevels = 7;
  constexpr int kDraws = 40'000;
  const FloatBuffer v = normal_floats(64);
  double norm = 0, exact = 0;
  for (const float x : v) norm += static_cast<double>(x) * static_cast<double>(x);
  norm = std::sqrt(norm);
  for (const float x : v) {
    const double level = std::abs(static_cast<double>(x)) / norm * kLevels;
    const double p = level - std::floor(level);
    exact += norm / kLevels * (norm / kLevels) * p * (1 - p);
  }
  double variance = 0;
  for (int draw = 0; draw < kDraws; ++draw) {
    const FloatBuffer q = through(*method, v, static_cast<std::uint64_t>(draw));
    for (std::size_t i = 0; i < v.size(); ++i) {
      const double error = static_cast<double>(q[i]) - static_cast<double>(v[i]);
      variance += error * error / kDraws;
    }
  }
  EXPECT_NEAR(variance, exact, 0.01 * exact);
}

TEST(Qsgd, TakesItsBits) {
  for (const auto& [bits, bytes] : std::map<std::string, std::size_t>{{"2", 128}, {"4", 256}, {"8", 512}}) {
    const auto method = make_qsgd(options_with({{"compression.qsgd.bits", bits}}));
    EXPECT_EQ(method->most_bytes(512), 4 + bytes);
    EXPECT_EQ(method->most_bytes(1024), 2 * (4 + bytes));
  }
}

TEST(TopK, SendsExactlyTheLargest) {
  const auto method = make_top_k(options_with({{"compression.top_k.density", "0.01"}}));
  for (const std::size_t n : {1UL, 50UL, 1000UL, 70'001UL, 300'000UL}) {
    const FloatBuffer values = normal_floats(n);
    const FloatBuffer got = through(*method, values);
    std::vector<float> magnitudes;
    for (const float x : values) magnitudes.push_back(std::abs(x));
    const auto k =
        std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(0.01 * static_cast<double>(n))));
    std::ranges::sort(magnitudes, std::greater<>());
    std::size_t sent = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (got[i] == 0) continue;
      ++sent;
      ASSERT_EQ(got[i], values[i]);
      ASSERT_GE(std::abs(got[i]), magnitudes[k - 1]);
    }
    EXPECT_EQ(sent, k) << n;
  }
}

TEST(TopK, OfEqualOnesTheFirstAreSent) {
  const auto method = make_top_k(options_with({{"compression.top_k.density", "0.1"}}));
  FloatBuffer values(1000, 0.5F);
  values[999] = -2;
  const FloatBuffer got = through(*method, values);
  for (std::size_t i = 0; i < 1000; ++i) EXPECT_EQ(got[i], i < 99 ? 0.5F : i == 999 ? -2.0F : 0.0F) << i;
  // Where nearly all are zeros, zeros are sent.
  FloatBuffer zeros(100'000, 0.0F);
  zeros[5000] = 1;
  EXPECT_EQ(through(*method, zeros)[5000], 1);
}

TEST(RandomK, SendsEachPlaceOnceAndEquallyOften) {
  constexpr std::size_t kFloats = 1000;
  constexpr int kDraws = 4000;
  const auto method = make_random_k(options_with({{"compression.random_k.density", "0.05"}}));
  EXPECT_EQ(method->most_bytes(kFloats), 8 + 50 * 4U);
  const FloatBuffer ones(kFloats, 1.0F);
  std::vector<int> sent(kFloats);
  for (int draw = 0; draw < kDraws; ++draw) {
    const FloatBuffer got = through(*method, ones, static_cast<std::uint64_t>(draw) * 0x9E3779B97F4A7C15U);
    std::size_t count = 0;
    for (std::size_t i = 0; i < kFloats; ++i) {
      ASSERT_TRUE(got[i] == 0 || got[i] == 20);
      sent[i] += got[i] == 0 ? 0 : 1;
      count += got[i] == 0 ? 0 : 1;
    }
    ASSERT_EQ(count, 50U);
  }
  // 200 each, with a standard deviation of 13.8.
  double chi = 0;
  for (const int count : sent) chi += (count - 200.0) * (count - 200.0) / (200.0 * 0.95);
  EXPECT_NEAR(chi, 1000, 5 * std::sqrt(2 * 1000.0));
}

TEST(RandomK, WithErrorFeedbackNothingIsScaled) {
  const auto method = make_random_k(
      options_with({{"compression.random_k.density", "0.05"}, {"compression.error_feedback", "on"}}));
  for (const float x : through(*method, FloatBuffer(1000, 1.0F))) EXPECT_TRUE(x == 0 || x == 1);
}

TEST(Threshold, SendsTauAndKeepsTheRest) {
  const auto method = make_threshold(options_with({{"compression.threshold.tau", "0.5"}}));
  EXPECT_EQ(through(*method, std::vector<float>{0.4F, 0.6F, -3, -0.5F, 0}),
            (FloatBuffer{0, 0.5F, -0.5F, -0.5F, 0}));
  EXPECT_EQ(encoded(*method, std::vector<float>{0.1F, 0.2F}).size(), 4U);
  // Where no value is above tau, the residual never gets above it.
  FloatBuffer residual(5000, 0.0F);
  FloatBuffer values = normal_floats(5000);
  for (float& x : values) x = std::clamp(x, -0.49F, 0.49F);
  ByteBuffer payload(method->room_bytes(values.size()));
  for (int step = 0; step < 50; ++step)
    ASSERT_TRUE(method->encode_with_residual(values, residual, {}, payload));
  for (const float x : residual) EXPECT_LT(std::abs(x), 0.5F);
  // All of them.
  EXPECT_EQ(through(*method, FloatBuffer(777, -1.0F)), FloatBuffer(777, -0.5F));
}

// With its frame's header, of the CNN of McMahan et al.
TEST(Ratio, OfTheCnnIsThatOfItsBits) {
  const ParameterLayout cnn = cnn_layout();
  ASSERT_EQ(cnn.size(), 1'663'370U);
  constexpr double kHeader = 96;
  const auto ratio = [&](const std::map<std::string, std::string>& keys) {
    const auto compressor = up_compressors().make(options_with(keys), cnn);
    FloatBuffer state(compressor->state_floats(), 0.0F);
    Rng rng(1, Purpose::compression);
    const Compressed content =
        compressor->compress(SharedFloats::of(normal_floats(cnn.size())), state, {}, rng);
    return 4 * static_cast<double>(cnn.size()) / (static_cast<double>(content.payload.size()) + kHeader);
  };
  EXPECT_GE(ratio({{"compression.up", "one_bit"}}), 31);
  EXPECT_GE(ratio({{"compression.up", "terngrad"}}), 19.5);
  EXPECT_GE(ratio({{"compression.up", "qsgd"}, {"compression.qsgd.bits", "2"}}), 14);
  EXPECT_GE(ratio({{"compression.up", "top_k"}, {"compression.top_k.density", "0.001"}}), 500);
  EXPECT_GE(ratio({{"compression.up", "int8"}}), 3.9);
  EXPECT_GE(ratio({{"compression.up", "fp16"}}), 1.99);
}

TEST(IndexCode, GivesTheIndicesBack) {
  Rng rng(1, Purpose::test);
  for (const std::size_t bound : {1UL, 2UL, 17UL, 1000UL, 1'663'370UL}) {
    for (const double density : {0.0, 0.001, 0.1, 0.9, 1.0}) {
      std::set<std::uint32_t> chosen{static_cast<std::uint32_t>(bound - 1)};
      const auto count = static_cast<std::size_t>(density * static_cast<double>(std::min(bound, 100'000UL)));
      while (chosen.size() < count) chosen.insert(static_cast<std::uint32_t>(rng.below(bound)));
      const std::vector<std::uint32_t> indices(chosen.begin(), chosen.end());
      const IndexCode code(bound, indices.size());
      std::vector<std::byte> bytes(code.most_bytes());
      bytes.resize(code.encode(indices, bytes.data()));
      ASSERT_LE(bytes.size(), code.most_bytes());
      IndexCode::Reader reader(code, bytes);
      for (const std::uint32_t index : indices) ASSERT_EQ(reader.next(), index);
      EXPECT_TRUE(reader.is_at_end());
      IndexCode::Reader truncated(code, std::span(bytes).first(bytes.size() - 1));
      std::size_t read = 0;
      while (read < indices.size() && truncated.next()) ++read;
      EXPECT_TRUE(read < indices.size() || !truncated.is_at_end());
    }
  }
}

TEST(IndexCode, TakesTwelveBitsAnIndexAtMost) {
  constexpr std::size_t kFloats = 1'663'370, kKept = 1663;
  Rng rng(2, Purpose::test);
  std::set<std::uint32_t> chosen;
  while (chosen.size() < kKept) chosen.insert(static_cast<std::uint32_t>(rng.below(kFloats)));
  const std::vector<std::uint32_t> indices(chosen.begin(), chosen.end());
  const IndexCode code(kFloats, kKept);
  std::vector<std::byte> bytes(code.most_bytes());
  EXPECT_LE(8.0 * static_cast<double>(code.encode(indices, bytes.data())) / kKept, 12.0);
}

}  // namespace
}  // namespace gossamer
