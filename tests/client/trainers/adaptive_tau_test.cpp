#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::make_options;
using testing::quadratic;
using testing::Quadratic;

// F(x) = a (x - b)^2 / 2 with a = 2, b = 1: everything that is reported can be written down.
TEST(AdaptiveTauTrainer, ReportsTheLossAroundTheModel) {
  const Options options = make_options({{"algorithm.name", "adaptive_tau"}});
  const auto trainer = algorithms().make(options)->make_trainer(options, std::make_unique<Quadratic>(0.0F));
  const auto examples = quadratic(2, 1);
  const auto loss = [](double x) { return (x - 1) * (x - 1); };
  TrainingState state;
  double ended = 0;
  for (Round round = 1; round <= 4; ++round) {
    const float model = 5.0F - static_cast<float>(round);
    TrainTask task{0, round, examples, &state};
    task.steps = round;
    const Update update = trainer->train({&model, 1}, task);
    double x = model;
    for (Round step = 0; step < round; ++step) x -= 0.1 * 2 * (x - 1);
    EXPECT_NEAR(update.values[0], x - model, 1e-5) << "as many steps as were asked for";
    EXPECT_EQ(update.info.samples, round);
    ASSERT_NE(update.info.tau, nullptr);
    const TauReport& report = *update.info.tau;
    EXPECT_NEAR(report.loss, loss(model), 1e-5);
    double gradient = 0;
    for (const double bucket : report.gradient) gradient += std::abs(bucket);
    EXPECT_NEAR(gradient, std::abs(2.0 * (model - 1)), 1e-5);
    if (round == 1) {
      EXPECT_EQ(report.rho, 0);
      EXPECT_EQ(report.beta, 0);
    } else {
      EXPECT_NEAR(report.beta, 2, 1e-4);
      EXPECT_NEAR(report.rho, std::abs(loss(ended) - loss(model)) / std::abs(ended - model), 1e-4);
    }
    ended = x;
  }
}

TEST(AdaptiveTauTrainer, SaysThatItDiverged) {
  const Options options = make_options({{"algorithm.name", "adaptive_tau"}, {"client.lr", "1e30"}});
  const auto trainer = algorithms().make(options)->make_trainer(options, std::make_unique<Quadratic>(0.0F));
  TrainingState state;
  const float model = 3;
  TrainTask task{0, 1, quadratic(2, 1), &state};
  task.steps = 3;
  const Update update = trainer->train({&model, 1}, task);
  EXPECT_EQ(update.values[0], 0);
  EXPECT_EQ(update.info.train_loss, 0);
  EXPECT_GT(update.info.tau->loss, 1e300);
  EXPECT_TRUE(state.empty());
}

TEST(AdaptiveTauTrainer, RefusesWhatItCannotMean) {
  EXPECT_THROW(make_options({{"algorithm.name", "adaptive_tau"}, {"client.local_steps", "5"}}), ConfigError);
  EXPECT_THROW(make_options({{"algorithm.name", "adaptive_tau"}, {"sync.mode", "async"}}), ConfigError);
  EXPECT_THROW(make_options({{"algorithm.name", "adaptive_tau"}, {"client.momentum", "0.9"}}), ConfigError);
}

}  // namespace
}  // namespace gossamer
