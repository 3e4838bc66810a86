// Places that stay while the loss falls.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "compression/methods.h"
#include "core/error.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

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
