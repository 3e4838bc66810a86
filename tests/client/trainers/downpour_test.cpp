#include <gtest/gtest.h>

#include "client/models/models.h"
#include "client/trainers/gradients.h"
#include "client/trainers/minibatches.h"
#include "client/trainers/trainer.h"
#include "core/rng.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::make_options;
using testing::patterns;

constexpr float kRate = 0.1F;
constexpr std::int64_t kBatch = 10;

// What travels are the steps themselves, so a server that adds them is sequential SGD, bit for bit.
TEST(Downpour, OneWorkerWithOneStepIsSequentialSgd) {
  const Options options = make_options({{"algorithm.name", "downpour"},
                                        {"client.local_steps", "1"},
                                        {"client.batch_size", std::to_string(kBatch)},
                                        {"client.lr", "0.1"}});
  const auto examples = patterns(60, 1);
  const auto trainer =
      algorithms().make(options)->make_trainer(options, make_model(options, examples->shape()));
  const auto model = make_model(options, examples->shape());
  const auto gradients = make_gradients(*model);
  const auto seed = static_cast<std::uint64_t>(options.integer("run.seed"));

  std::vector<float> server(model->values().begin(), model->values().end());
  for (Round round = 1; round <= 20; ++round) {
    const Update update = trainer->train(server, {0, round, examples, nullptr});
    for (std::size_t i = 0; i < server.size(); ++i) server[i] += update.values[i];

    Minibatches batches;
    batches.start(examples, kBatch, Rng(seed, Purpose::shuffle, 0, static_cast<std::uint64_t>(round)));
    const Minibatches::Part& batch = batches.next();
    gradients->compute(batch.features, batch.labels, 1, false);
    for (std::size_t tensor = 0; tensor < model->parameters().size(); ++tensor) {
      const std::span<const float> gradient = gradients->of(tensor);
      const std::size_t offset = model->layout()->tensors()[tensor].offset;
      for (std::size_t i = 0; i < gradient.size(); ++i) model->values()[offset + i] += -kRate * gradient[i];
    }
    ASSERT_TRUE(std::ranges::equal(server, model->values())) << "round " << round;
  }
}

TEST(Downpour, PushesTheSumOfItsSteps) {
  const auto examples = patterns(60, 1);
  const auto pushed = [&](const std::string& algorithm) {
    const Options options = make_options({{"algorithm.name", algorithm},
                                          {"client.local_steps", "7"},
                                          {"client.batch_size", std::to_string(kBatch)},
                                          {"client.lr", "0.1"}});
    auto model = make_model(options, examples->shape());
    const std::vector<float> global(model->values().begin(), model->values().end());
    return algorithms()
        .make(options)
        ->make_trainer(options, std::move(model))
        ->train(global, {0, 1, examples, nullptr});
  };
  const Update sum = pushed("downpour");
  const Update difference = pushed("fedavg");
  EXPECT_EQ(sum.info.samples, 70);
  double largest = 0;
  for (std::size_t i = 0; i < sum.values.size(); ++i) {
    ASSERT_NEAR(sum.values[i], difference.values[i], 1e-6);
    largest = std::max(largest, std::abs(static_cast<double>(sum.values[i])));
  }
  EXPECT_GT(largest, 1e-3);
}

TEST(LocalWork, EndsWhereItIsCalledOff) {
  const auto examples = patterns(60, 1);
  const Options options = make_options({{"client.local_steps", "100"}});
  auto model = make_model(options, examples->shape());
  const std::vector<float> global(model->values().begin(), model->values().end());
  const auto trainer = algorithms().make(options)->make_trainer(options, std::move(model));
  int asked = 0;
  EXPECT_THROW(trainer->train(global, {0, 1, examples, nullptr, [&] { return ++asked == 5; }}),
               WorkCalledOff);
  EXPECT_EQ(asked, 5);
  // The next piece of work knows nothing of it.
  const Update after = trainer->train(global, {0, 1, examples, nullptr});
  auto fresh = algorithms().make(options)->make_trainer(options, make_model(options, examples->shape()));
  EXPECT_EQ(after.values, fresh->train(global, {0, 1, examples, nullptr}).values);
}

}  // namespace
}  // namespace gossamer
