// Closed-form oracles of Reddi et al. 2020 and of FedAvg's server step.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "server/optimizers/server_optimizer.h"
#include "server_schema.h"

namespace gossamer {
namespace {

// Two clients with 5 examples each move a model at 0.1 to 0.2 and 1.0: the mean update is 0.5.
constexpr float kStart = 0.1F;
constexpr float kMeanUpdate = 0.5F;

float step_once(const Options& options, int steps = 1) {
  std::vector<float> model{kStart};
  const std::vector<float> update{kMeanUpdate};
  const auto optimizer = server_optimizers().make(options);
  for (int i = 0; i < steps; ++i) optimizer->step(model, update);
  return model[0];
}

TEST(ServerOptimizer, SgdWithRateOneIsFedAvg) { EXPECT_FLOAT_EQ(step_once(server_options({})), 0.6F); }

TEST(ServerOptimizer, AdagradOracle) {
  const Options options = server_options({{"server.optimizer", "adagrad"},
                                          {"server.lr", "0.1"},
                                          {"server.adagrad.beta1", "0"},
                                          {"server.adagrad.tau", "0.5"}});
  EXPECT_FLOAT_EQ(step_once(options), 0.15F);
}

TEST(ServerOptimizer, MomentumByHand) {
  // v = 0.5, 0.5 * 0.5 + 0.5 = 0.75: 0.1 + 0.5 + 0.75
  const Options options = server_options({{"server.optimizer", "momentum"}, {"server.momentum.beta", "0.5"}});
  EXPECT_FLOAT_EQ(step_once(options, 2), 1.35F);
  // Nesterov: 0.5 + 0.5 * 0.5 = 0.75; 0.5 + 0.5 * 0.75 = 0.875
  const Options nesterov = server_options({{"server.optimizer", "momentum"},
                                           {"server.momentum.beta", "0.5"},
                                           {"server.momentum.nesterov", "true"}});
  EXPECT_FLOAT_EQ(step_once(nesterov, 2), 1.725F);
}

TEST(ServerOptimizer, AdamByHandWithAndWithoutBiasCorrection) {
  // m = 0.05, v = 0.0025: 0.1 + 1 * 0.05 / (0.05 + 0.05)
  const Options plain = server_options({{"server.optimizer", "adam"}, {"server.adam.tau", "0.05"}});
  EXPECT_NEAR(step_once(plain), 0.6, 1e-6);
  // Corrected: m = 0.5, v = 0.25: 0.1 + 0.5 / (0.5 + 0.05)
  const Options corrected = server_options(
      {{"server.optimizer", "adam"}, {"server.adam.tau", "0.05"}, {"server.adam.bias_correction", "true"}});
  EXPECT_NEAR(step_once(corrected), 0.1 + 0.5 / 0.55, 1e-5);
}

TEST(ServerOptimizer, YogiGrowsAndShrinksTheSecondMoment) {
  // From v = 1 above u^2 = 0.25: v = 1 - 0.01 * 0.25; from v = 0 below it: v = 0.0025.
  const Options above = server_options(
      {{"server.optimizer", "yogi"}, {"server.yogi.initial", "1"}, {"server.yogi.beta1", "0"}});
  EXPECT_NEAR(step_once(above), 0.1 + 0.5 / (std::sqrt(0.9975) + 1e-3), 1e-6);
  const Options below = server_options({{"server.optimizer", "yogi"}, {"server.yogi.beta1", "0"}});
  EXPECT_NEAR(step_once(below), 0.1 + 0.5 / (0.05 + 1e-3), 1e-4);
}

TEST(ServerOptimizer, StateRestoresTheCourse) {
  for (const std::string& name : server_optimizers().names()) {
    const Options options = server_options({{"server.optimizer", name}});
    std::vector<float> straight{1, 2, 3};
    const std::vector<float> update{0.5, -0.25, 0.125};
    const auto optimizer = server_optimizers().make(options);
    optimizer->step(straight, update);
    std::vector<float> resumed = straight;
    const auto second = server_optimizers().make(options);
    second->state() = optimizer->state();
    optimizer->step(straight, update);
    second->step(resumed, update);
    EXPECT_EQ(straight, resumed) << name;
  }
}

}  // namespace
}  // namespace gossamer
