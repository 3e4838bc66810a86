#include "client/optimizers/client_optimizer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <functional>

#include "core/buffers.h"
#include "core/error.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::make_options;
using Given = std::vector<std::pair<std::string, std::string>>;

// 30 steps on two tensors with gradients that torch.optim gets as well.
struct Run {
  std::vector<float> ours, torchs;
};

Run run(const Given& given,
        const std::function<std::unique_ptr<torch::optim::Optimizer>(std::vector<at::Tensor>)>& make) {
  constexpr std::size_t kFirst = 37, kSecond = 64;
  Rng rng(5, Purpose::test);
  FloatBuffer w(kFirst + kSecond);
  for (float& x : w) x = static_cast<float>(rng.normal());
  std::vector<at::Tensor> tensors{at::tensor(at::ArrayRef<float>(w.data(), kFirst)),
                                  at::tensor(at::ArrayRef<float>(w.data() + kFirst, kSecond))};
  for (at::Tensor& tensor : tensors) tensor.requires_grad_(true);
  const auto theirs = make(tensors);
  const auto ours = client_optimizers().make(make_options(given), w.size());
  ours->reset();
  std::vector<float> gradient(w.size());
  for (int step = 0; step < 30; ++step) {
    for (float& g : gradient) g = static_cast<float>(rng.normal());
    ours->begin_step();
    const std::span<float> weights(w);
    const std::span<const float> g(gradient);
    ours->step(weights.first(kFirst), g.first(kFirst), 0);
    ours->step(weights.subspan(kFirst), g.subspan(kFirst), kFirst);
    tensors[0].mutable_grad() = at::tensor(at::ArrayRef<float>(gradient.data(), kFirst));
    tensors[1].mutable_grad() = at::tensor(at::ArrayRef<float>(gradient.data() + kFirst, kSecond));
    theirs->step();
  }
  Run result{{w.begin(), w.end()}, {}};
  for (const at::Tensor& tensor : tensors) {
    result.torchs.insert(result.torchs.end(), tensor.data_ptr<float>(),
                         tensor.data_ptr<float>() + tensor.numel());
  }
  return result;
}

void expect_near(const Run& run) {
  ASSERT_EQ(run.ours.size(), run.torchs.size());
  for (std::size_t i = 0; i < run.ours.size(); ++i) {
    EXPECT_NEAR(run.ours[i], run.torchs[i], 1e-6 * std::max(1.0F, std::abs(run.torchs[i]))) << i;
  }
}

TEST(Optimizers, SgdIsTorchs) {
  expect_near(run({{"client.lr", "0.05"}, {"client.weight_decay", "0.01"}}, [](auto tensors) {
    return std::make_unique<torch::optim::SGD>(tensors, torch::optim::SGDOptions(0.05).weight_decay(0.01));
  }));
}

TEST(Optimizers, SgdWithMomentumIsTorchs) {
  expect_near(run({{"client.lr", "0.05"}, {"client.momentum", "0.9"}, {"client.weight_decay", "0.01"}},
                  [](auto tensors) {
                    return std::make_unique<torch::optim::SGD>(
                        tensors, torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(0.01));
                  }));
}

TEST(Optimizers, SgdWithNesterovIsTorchs) {
  expect_near(
      run({{"client.lr", "0.05"}, {"client.momentum", "0.9"}, {"client.nesterov", "true"}}, [](auto tensors) {
        return std::make_unique<torch::optim::SGD>(
            tensors, torch::optim::SGDOptions(0.05).momentum(0.9).nesterov(true));
      }));
}

TEST(Optimizers, AdamIsTorchs) {
  expect_near(run({{"client.optimizer", "adam"}, {"client.lr", "0.01"}, {"client.weight_decay", "0.01"}},
                  [](auto tensors) {
                    return std::make_unique<torch::optim::Adam>(
                        tensors, torch::optim::AdamOptions(0.01).weight_decay(0.01));
                  }));
}

TEST(Optimizers, RmsPropIsTorchs) {
  expect_near(run({{"client.optimizer", "rmsprop"}, {"client.lr", "0.01"}, {"client.rmsprop.alpha", "0.9"}},
                  [](auto tensors) {
                    return std::make_unique<torch::optim::RMSprop>(
                        tensors, torch::optim::RMSpropOptions(0.01).alpha(0.9));
                  }));
}

TEST(Optimizers, AdagradIsTorchs) {
  expect_near(run({{"client.optimizer", "adagrad"}, {"client.lr", "0.1"}}, [](auto tensors) {
    return std::make_unique<torch::optim::Adagrad>(tensors, torch::optim::AdagradOptions(0.1));
  }));
}

TEST(Optimizers, ResetForgetsEarlierSteps) {
  for (const std::string& name : client_optimizers().names()) {
    Given given{{"client.optimizer", name}};
    if (name == "sgd") given.push_back({"client.momentum", "0.9"});
    const auto optimizer = client_optimizers().make(make_options(given), 3);
    const std::vector<float> gradient{1, -2, 0.5};
    std::vector<std::vector<float>> results;
    for (int life = 0; life < 2; ++life) {
      std::vector<float> w{1, 2, 3};
      optimizer->reset();
      for (int step = 0; step < 3; ++step) {
        optimizer->begin_step();
        optimizer->step(w, gradient, 0);
      }
      results.push_back(w);
    }
    EXPECT_EQ(results[0], results[1]) << name;
  }
}

TEST(Optimizers, MomentumIsRefusedWhereThereIsNone) {
  EXPECT_THROW(make_options({{"client.optimizer", "adam"}, {"client.momentum", "0.9"}}), ConfigError);
  EXPECT_THROW(make_options({{"client.optimizer", "rmsprop"}, {"client.nesterov", "true"}}), ConfigError);
  EXPECT_THROW(client_optimizers().make(make_options({{"client.nesterov", "true"}}), 1), ConfigError);
}

TEST(Optimizers, OnlySgdWithoutMomentumIsPlain) {
  const auto plain =
      client_optimizers().make(make_options({{"client.lr", "0.5"}, {"client.weight_decay", "0.1"}}), 1);
  ASSERT_TRUE(plain->plain_descent());
  EXPECT_FLOAT_EQ(plain->plain_descent()->keep, 0.95F);
  EXPECT_FLOAT_EQ(plain->plain_descent()->rate, 0.5F);
  EXPECT_FALSE(client_optimizers().make(make_options({{"client.momentum", "0.9"}}), 1)->plain_descent());
  EXPECT_FALSE(client_optimizers().make(make_options({{"client.optimizer", "adam"}}), 1)->plain_descent());
}

}  // namespace
}  // namespace gossamer
