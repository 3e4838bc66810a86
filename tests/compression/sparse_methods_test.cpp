// What the sparse methods with a memory or probabilities of their own are known to give, by their papers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "compression/methods.h"
#include "compression/sparse_floats.h"
#include "core/error.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

using testing::HasSubstr;
using Keys = std::map<std::string, std::string>;

// One client's messages of one tensor, as a server decodes them.
class Stream {
 public:
  Stream(const Keys& keys, std::size_t floats)
      : compressor_(make(keys, floats)), state_(compressor_->state_floats(), 0.0F) {}

  FloatBuffer send(const FloatBuffer& values, MessageContext context = {}) {
    Rng rng(9, Purpose::compression, 0, ++messages_);
    const Compressed content = compressor_->compress(SharedFloats::of(values), state_, context, rng);
    bytes_ = content.payload.size();
    FloatBuffer decoded(values.size());
    EXPECT_TRUE(compressor_->decompress(content, decoded).ok());
    return decoded;
  }
  const FloatBuffer& state() const { return state_; }
  std::size_t bytes() const { return bytes_; }  // of the last message

 private:
  static std::unique_ptr<Compressor> make(Keys keys, std::size_t floats) {
    keys["compression.min_size"] = "0";
    const ParameterLayout layout({{"w", {static_cast<std::int64_t>(floats)}, 0, 0, TensorRole::parameter}});
    return up_compressors().make(options_with(keys), layout);
  }

  std::unique_ptr<Compressor> compressor_;
  FloatBuffer state_;
  std::uint64_t messages_ = 0;
  std::size_t bytes_ = 0;
};

std::size_t non_zeros(const FloatBuffer& values) {
  return static_cast<std::size_t>(std::ranges::count_if(values, [](float x) { return x != 0; }));
}

Keys dgc(Keys more = {}) {
  more.emplace("compression.up", "dgc");
  more.emplace("compression.dgc.warmup_rounds", "0");
  return more;
}

// A tensor that is too short to be compressed is not behind the others.
TEST(Dgc, WhatTravelsAsItIsHasTheSameMomentum) {
  Keys keys = dgc({{"compression.momentum", "0.75"}});
  keys["compression.min_size"] = "100";
  const ParameterLayout layout({{"w", {400}, 0, 0, TensorRole::parameter},
                                {"b", {10}, 0, 0, TensorRole::parameter},
                                {"mean", {10}, 0, 0, TensorRole::buffer}});
  const auto compressor = up_compressors().make(options_with(keys), layout);
  FloatBuffer state(compressor->state_floats(), 0.0F), velocity(10, 0.0F), decoded(420);
  for (std::uint64_t step = 0; step < 10; ++step) {
    const FloatBuffer g = normal_floats(420, step);
    Rng rng(step, Purpose::compression);
    ASSERT_TRUE(
        compressor->decompress(compressor->compress(SharedFloats::of(g), state, {}, rng), decoded).ok());
    for (std::size_t i = 0; i < 10; ++i) {
      velocity[i] = 0.75F * velocity[i] + g[400 + i];
      EXPECT_EQ(decoded[400 + i], velocity[i]);
      EXPECT_EQ(decoded[410 + i], g[410 + i]);
    }
  }
}

TEST(Dgc, AtDensityOneIsSgdWithMomentum) {
  Stream stream(dgc({{"compression.dgc.density", "1"}, {"compression.momentum", "0.75"}}), 1000);
  FloatBuffer velocity(1000, 0.0F);
  for (std::uint64_t step = 0; step < 20; ++step) {
    const FloatBuffer g = normal_floats(1000, step);
    for (std::size_t i = 0; i < g.size(); ++i) velocity[i] = 0.75F * velocity[i] + g[i];
    ASSERT_EQ(stream.send(g), velocity) << step;
  }
}

TEST(Dgc, AtDensityOneWithMaskingIsPlainSgd) {
  Stream stream(dgc({{"compression.dgc.density", "1"}, {"compression.factor_masking", "on"}}), 1000);
  for (std::uint64_t step = 0; step < 20; ++step) {
    const FloatBuffer g = normal_floats(1000, step);
    ASSERT_EQ(stream.send(g), g) << step;
  }
}

TEST(Dgc, AtDensityOneWithNesterovIsSgdWithNesterovsMomentum) {
  // u <- m (u + g), and u + g is sent.
  Stream stream(dgc({{"compression.dgc.density", "1"}, {"compression.nesterov", "true"}}), 1003);
  FloatBuffer velocity(1003, 0.0F), wanted(1003);
  for (std::uint64_t step = 0; step < 20; ++step) {
    const FloatBuffer g = normal_floats(1003, step);
    for (std::size_t i = 0; i < g.size(); ++i) {
      velocity[i] = 0.9F * (velocity[i] + g[i]);
      wanted[i] = velocity[i] + g[i];
    }
    ASSERT_EQ(stream.send(g), wanted) << step;
  }
}

// Algorithm 4 of the paper, plainly: with each choice of what can be chosen.
TEST(Dgc, SendsWhatThePapersAlgorithmDoes) {
  const std::size_t n = 3001, kept = 30;
  for (const bool nesterov : {false, true}) {
    for (const bool masking : {true, false}) {
      Stream stream(dgc({{"compression.dgc.density", "0.01"},
                         {"compression.nesterov", nesterov ? "true" : "false"},
                         {"compression.factor_masking", masking ? "auto" : "off"}}),
                    n);
      std::vector<float> u(n), v(n);
      for (std::uint64_t step = 0; step < 40; ++step) {
        const FloatBuffer g = normal_floats(n, 100 + step);
        for (std::size_t i = 0; i < n; ++i) {
          u[i] = nesterov ? 0.9F * (u[i] + g[i]) : 0.9F * u[i] + g[i];
          v[i] = nesterov ? (u[i] + g[i]) + v[i] : u[i] + v[i];
        }
        std::vector<float> magnitudes(n);
        std::ranges::transform(v, magnitudes.begin(), [](float x) { return std::abs(x); });
        std::ranges::sort(magnitudes, std::greater<>());
        FloatBuffer wanted(n, 0.0F);
        for (std::size_t i = 0; i < n; ++i) {
          if (std::abs(v[i]) < magnitudes[kept - 1]) continue;
          wanted[i] = v[i];
          v[i] = 0;
          if (masking) u[i] = 0;
        }
        ASSERT_EQ(non_zeros(wanted), kept);
        ASSERT_EQ(stream.send(g), wanted) << step;
        ASSERT_TRUE(std::equal(u.begin(), u.end(), stream.state().begin())) << step;
        ASSERT_TRUE(std::equal(v.begin(), v.end(), stream.state().begin() + n)) << step;
      }
    }
  }
}

TEST(Dgc, AStarvedValueCarriesTheSumOfItsVelocities) {
  // Of 100 values one is sent, always another one of the large ones.
  Stream stream(dgc({{"compression.dgc.density", "0.01"}, {"compression.momentum", "0.5"}}), 100);
  double velocity = 0, carried = 0;
  for (std::size_t step = 0; step < 30; ++step) {
    FloatBuffer g(100, 0.0F);
    g[step] = 1000;
    g[99] = 0.25F;
    velocity = 0.5 * velocity + 0.25;
    carried += velocity;
    ASSERT_EQ(stream.send(g)[99], 0);
  }
  EXPECT_NEAR(stream.state()[100 + 99], carried, 1e-5);
  EXPECT_NEAR(carried, 14.5, 1e-3);  // 30 rounds of nearly 0.25 / (1 - 0.5)
}

TEST(Dgc, WarmsUpAsThePaperDoes) {
  Stream stream(dgc({{"compression.dgc.density", "0.001"}, {"compression.dgc.warmup_rounds", "8"}}), 64'000);
  const std::map<Round, std::size_t> kept{{0, 16'000}, {1, 16'000}, {2, 4000}, {3, 4000}, {4, 1000},
                                          {5, 1000},   {6, 250},    {7, 250},  {8, 64},   {1000, 64}};
  for (const auto& [round, k] : kept)
    EXPECT_EQ(non_zeros(stream.send(normal_floats(64'000, static_cast<std::uint64_t>(round)), {round})), k)
        << round;
  // Never below the share that it ends with.
  Stream dense(dgc({{"compression.dgc.density", "0.1"}, {"compression.dgc.warmup_rounds", "4"}}), 1000);
  for (const auto& [round, k] : std::map<Round, std::size_t>{{0, 250}, {1, 100}, {3, 100}, {4, 100}})
    EXPECT_EQ(non_zeros(dense.send(normal_floats(1000, 1), {round})), k) << round;
}

TEST(Dgc, RefusesANumberOfValuesThatNoRoundHas) {
  const auto method = make_dgc(options_with({{"compression.dgc.density", "0.05"}}));
  const FloatBuffer values = normal_floats(1000, 1);
  ByteBuffer room(method->room_bytes(1000));
  for (const auto& [round, k] :
       std::map<Round, std::uint32_t>{{0, 250}, {1, 63}, {2, 50}, {3, 50}, {9, 50}}) {
    const auto length = method->encode(values, {}, {1, round}, room);
    ASSERT_TRUE(length);
    ByteBuffer payload(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*length));
    std::uint32_t count;
    std::memcpy(&count, payload.data(), sizeof count);
    EXPECT_EQ(count, k);
    EXPECT_TRUE(method->is_valid(payload, 1000));
  }
  // A payload that is right but for how many it has.
  std::vector<std::uint32_t> indices{3, 5, 7};
  std::vector<float> three{1, 2, 3};
  ByteBuffer payload(4 + most_sparse_bytes(1000, 3));
  const std::uint32_t count = 3;
  std::memcpy(payload.data(), &count, sizeof count);
  payload.resize(4 + write_sparse({indices, three}, 1000, payload.data() + 4));
  ASSERT_TRUE(is_valid_sparse(std::span(payload).subspan(4), 1000, 3));
  EXPECT_FALSE(method->is_valid(payload, 1000));
}

TEST(Dgc, ClipsByTheTensorsNormBeforeItAccumulates) {
  const Keys keys = dgc({{"compression.dgc.density", "1"}, {"compression.local_clip", "2.5"}});
  Stream stream(keys, 2);
  EXPECT_EQ(stream.send({6, 8}), (FloatBuffer{1.5F, 2}));
  EXPECT_EQ(stream.send({0.5F, 0}), (FloatBuffer{0.9F * 1.5F + 0.5F, 0.9F * 2}));
  // Lengths whose squares no float holds; the last lanes count as well.
  Stream huge(keys, 37);
  FloatBuffer values(37, 0.0F);
  values[0] = 3e30F;
  values[36] = -4e30F;
  const FloatBuffer got = huge.send(values);
  EXPECT_NEAR(got[0], 1.5, 1e-6);
  EXPECT_NEAR(got[36], -2, 1e-6);
  FloatBuffer state(74, 0.0F);
  values[5] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(static_cast<void>(huge.send(values)), RunError);
}

TEST(Dgc, TakesTheBytesOfItsFormula) {
  const ParameterLayout cnn = cnn_layout();
  const auto compressor = up_compressors().make(options_with({{"compression.up", "dgc"}}), cnn);
  FloatBuffer state(compressor->state_floats(), 0.0F);
  Rng rng(1, Purpose::compression);
  const FloatBuffer values = normal_floats(cnn.size(), 1);
  constexpr double kHeader = 96;
  const auto bytes = [&](Round round) {
    return static_cast<double>(
        compressor->compress(SharedFloats::of(values), state, {round}, rng).payload.size());
  };
  const double whole = 4 * static_cast<double>(cnn.size());
  EXPECT_LT(whole / (bytes(0) + kHeader), 4);  // of the warm-up
  EXPECT_GE(whole / (bytes(4) + kHeader), 500);

  // A length and a number of them, and of each value four bytes and at most twelve bits for where it is.
  Stream stream(dgc(), 1'000'000);
  static_cast<void>(stream.send(normal_floats(1'000'000, 2)));
  EXPECT_GE(stream.bytes(), 4U + 4U + 1000U * 4U + 1000U);
  EXPECT_LE(stream.bytes(), 4U + 4U + 1000U * 4U + 1500U);
}

TEST(Dgc, IsRefusedWithoutItsMemory) {
  const auto options = options_with(dgc({{"compression.error_feedback", "off"}}));
  try {
    static_cast<void>(keeps_state(options));
    FAIL() << "not refused";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("compression.error_feedback = off"));
  }
}

TEST(MomentumCorrection, OverADenseMethodIsMomentum) {
  // Integers are bf16 floats, and all is sent.
  Stream stream({{"compression.up", "bf16"},
                 {"compression.error_feedback", "on"},
                 {"compression.momentum_correction", "on"},
                 {"compression.momentum", "1"}},
                20);
  for (int step = 1; step < 10; ++step)
    ASSERT_EQ(stream.send(FloatBuffer(20, 3)), FloatBuffer(20, 3.0F * static_cast<float>(step)));
}

TEST(MomentumCorrection, WithoutAResidualNothingIsMasked) {
  Stream stream({{"compression.up", "top_k"},
                 {"compression.top_k.density", "0.5"},
                 {"compression.error_feedback", "off"},
                 {"compression.momentum_correction", "on"},
                 {"compression.momentum", "0.5"}},
                2);
  EXPECT_EQ(stream.send({1, 4}), (FloatBuffer{0, 4}));
  EXPECT_EQ(stream.send({1, 4}), (FloatBuffer{0, 6}));
  EXPECT_EQ(stream.state(), (FloatBuffer{1.5F, 6}));
}

TEST(MomentumCorrection, MasksWhatHasBeenSentByAnyMethod) {
  // tau = 1 is sent of each of the first two; only of the first nothing is left.
  Stream stream({{"compression.up", "threshold"},
                 {"compression.threshold.tau", "1"},
                 {"compression.momentum_correction", "on"},
                 {"compression.momentum", "0.5"}},
                3);
  EXPECT_EQ(stream.send({1, 1.5F, 0.25F}), (FloatBuffer{1, 1, 0}));
  EXPECT_EQ(stream.state(), (FloatBuffer{0, 1.5F, 0.25F, 0, 0.5F, 0.25F}));
}

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

TEST(AdaComp, DividesByTheMessagesThatAValueHasWaited) {
  Stream stream({{"compression.up", "adacomp"}, {"compression.adacomp.density", "0.25"}}, 4);
  EXPECT_EQ(stream.send({1, 2, 8, 0}), (FloatBuffer{0, 0, 8, 0}));
  EXPECT_EQ(stream.send({1, 2, 8, 0}), (FloatBuffer{0, 0, 8, 0}));  // sent in the one before: 1
  EXPECT_EQ(stream.send({1, 6, 8, 0}), (FloatBuffer{0, 10 / 3.0F, 0, 0}));
  EXPECT_EQ(stream.send({1, 2, 0, 0}), (FloatBuffer{0, 0, 4, 0}));  // 8, two messages after its last
  EXPECT_EQ(stream.send({16, 2, 0, 0}), (FloatBuffer{4, 0, 0, 0}));
  // What waits, when each was last sent, and how many messages there were.
  EXPECT_EQ(stream.state(), (FloatBuffer{0, 4, 0, 0, 5, 3, 4, 0, 5}));
}

TEST(AdaComp, OfASteadyGradientSendsItsMean) {
  // Whatever is sent has added up as many times as it is divided by.
  Stream stream({{"compression.up", "adacomp"}, {"compression.adacomp.density", "0.1"}}, 500);
  FloatBuffer g(500);
  for (std::size_t i = 0; i < g.size(); ++i) g[i] = static_cast<float>(1 + i % 7);
  std::size_t sent = 0;
  for (int message = 0; message < 60; ++message) {
    const FloatBuffer got = stream.send(g);
    for (std::size_t i = 0; i < g.size(); ++i) ASSERT_TRUE(got[i] == 0 || got[i] == g[i]);
    sent += non_zeros(got);
  }
  EXPECT_EQ(sent, 60 * 50U);
}

TEST(AdaComp, WithoutStalenessIsTopKWithErrorFeedback) {
  Stream one({{"compression.up", "adacomp"},
              {"compression.adacomp.density", "0.02"},
              {"compression.adacomp.staleness", "false"}},
             3000);
  Stream other({{"compression.up", "top_k"}, {"compression.top_k.density", "0.02"}}, 3000);
  for (std::uint64_t step = 0; step < 30; ++step) {
    const FloatBuffer g = normal_floats(3000, step);
    ASSERT_EQ(one.send(g), other.send(g)) << step;
    ASSERT_EQ(one.bytes(), other.bytes());
  }
}

TEST(AdaComp, IsRefusedWithoutItsMemory) {
  const auto options = options_with({{"compression.up", "adacomp"}, {"compression.error_feedback", "off"}});
  EXPECT_THROW(static_cast<void>(keeps_state(options)), ConfigError);
}

std::vector<std::size_t> places(const FloatBuffer& values) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] != 0) found.push_back(i);
  }
  return found;
}

TEST(Esgd, StaysWhereItIsWhileTheLossFalls) {
  Stream stream({{"compression.up", "esgd"}, {"compression.esgd.density", "0.1"}}, 1000);
  constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::size_t> before;
  std::uint64_t seed = 0;
  // The first draws, however low its loss is; so does one that is no lower, or that is no number.
  for (const auto& [loss, stays] : std::vector<std::pair<double, bool>>{{-1, false},
                                                                        {2, false},
                                                                        {1.5, true},
                                                                        {1.4, true},
                                                                        {1.4, false},
                                                                        {0.5, true},
                                                                        {0.6, false},
                                                                        {kNothing, false},
                                                                        {0.1, false},
                                                                        {0.05, true}}) {
    const auto now = places(stream.send(normal_floats(1000, ++seed), {0, loss}));
    ASSERT_EQ(now.size(), 100U);
    EXPECT_EQ(now == before, stays) << loss;
    before = now;
  }
}

TEST(Esgd, KeepsWhatItDoesNotSendWithMomentum) {
  Stream stream({{"compression.up", "esgd"},
                 {"compression.esgd.density", "0.1"},
                 {"compression.esgd.momentum", "0.75"}},
                1003);
  std::vector<float> residual(1003);
  for (std::uint64_t step = 0; step < 30; ++step) {
    const FloatBuffer g = normal_floats(1003, step);
    const FloatBuffer sent = stream.send(g, {0, step % 3 == 0 ? 1.0 : 0.5 / static_cast<double>(step + 1)});
    for (std::size_t i = 0; i < g.size(); ++i) {
      residual[i] = 0.75F * residual[i] + g[i];
      ASSERT_TRUE(sent[i] == 0 || sent[i] == residual[i]) << step << ' ' << i;
      if (sent[i] != 0) residual[i] = 0;
    }
    ASSERT_EQ(non_zeros(sent), 100U);
    ASSERT_TRUE(std::equal(residual.begin(), residual.end(), stream.state().begin()));
  }
}

TEST(Esgd, DrawsPlacesByTheirWeight) {
  // 30 of 300 places, whose weights are 1, 2 and 3: with probabilities close to 0.05, 0.1 and 0.15.
  constexpr int kDraws = 4000;
  const auto method = make_esgd(options_with({{"compression.esgd.density", "0.1"}}));
  FloatBuffer g(300);
  for (std::size_t i = 0; i < g.size(); ++i)
    g[i] = (i % 2 == 0 ? 1.0F : -1.0F) * static_cast<float>(1 + i % 3);
  std::vector<int> sent(g.size());
  ByteBuffer room(method->room_bytes(g.size()));
  for (std::uint64_t draw = 0; draw < kDraws; ++draw) {
    FloatBuffer state(method->state_floats(g.size()), 0.0F), decoded(g.size(), 0.0F);
    const auto length = method->encode(g, state, {draw * 0x9E3779B97F4A7C15U}, room);
    ASSERT_TRUE(length);
    method->add(std::span(room).first(*length), 1, decoded);
    for (const std::size_t i : places(decoded)) ++sent[i];
  }
  for (std::size_t i = 0; i < g.size(); ++i) {
    const double p = 0.05 * static_cast<double>(1 + i % 3);
    // Five standard errors, and a hundredth for what order sampling is off.
    EXPECT_NEAR(sent[i], kDraws * p, 5 * std::sqrt(kDraws * p * (1 - p)) + 0.01 * kDraws * p) << i;
  }
}

TEST(Esgd, OfAllPlacesSendsAll) {
  Stream stream({{"compression.up", "esgd"}, {"compression.esgd.density", "1"}}, 500);
  for (std::uint64_t step = 0; step < 5; ++step) {
    const FloatBuffer g = normal_floats(500, step);
    ASSERT_EQ(stream.send(g, {0, 1.0 / static_cast<double>(step + 1)}), g);
  }
}

// A least-squares problem by gradient steps: slower the fewer values are sent, but down to the end.
TEST(Esgd, ComesDownOnLeastSquares) {
  constexpr std::size_t kUnknowns = 64;
  const FloatBuffer wanted = normal_floats(kUnknowns, 1), scales = normal_floats(kUnknowns, 2);
  const auto loss_after = [&](const std::string& density, int steps) {
    Stream stream({{"compression.up", "esgd"},
                   {"compression.esgd.density", density},
                   {"compression.esgd.momentum", "0.5"}},
                  kUnknowns);
    std::vector<double> x(kUnknowns);
    double loss = 0;
    for (int step = 0; step <= steps; ++step) {
      FloatBuffer update(kUnknowns);
      loss = 0;
      for (std::size_t i = 0; i < kUnknowns; ++i) {
        const double curvature = 0.5 + std::abs(static_cast<double>(scales[i]));
        const double off = x[i] - static_cast<double>(wanted[i]);
        loss += curvature * off * off / 2;
        update[i] = static_cast<float>(-0.1 * curvature * off);
      }
      const FloatBuffer sent = stream.send(update, {step, loss});
      for (std::size_t i = 0; i < kUnknowns; ++i) x[i] += static_cast<double>(sent[i]);
    }
    return loss;
  };
  double before = loss_after("0.125", 0) / 4;
  for (const char* const density : {"0.125", "0.25", "0.5", "1"}) {
    const double loss = loss_after(density, 400);
    EXPECT_LT(loss, before) << density;
    before = loss;
  }
  EXPECT_LT(before, 1e-15);
}

TEST(Esgd, IsRefusedWithoutItsMemory) {
  const auto options = options_with({{"compression.up", "esgd"}, {"compression.error_feedback", "off"}});
  EXPECT_THROW(static_cast<void>(keeps_state(options)), ConfigError);
}

}  // namespace
}  // namespace gossamer
