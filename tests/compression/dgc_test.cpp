// Deep gradient compression and momentum before any other method, as the paper gives them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <vector>

#include "compression/methods.h"
#include "compression/sparse_floats.h"
#include "core/error.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace gossamer
