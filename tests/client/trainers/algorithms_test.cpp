#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "client/models/models.h"
#include "core/error.h"
#include "core/straggler.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::make_options;
using testing::patterns;
using testing::quadratic;
using testing::Quadratic;
using Given = std::vector<std::pair<std::string, std::string>>;

std::unique_ptr<LocalTrainer> trainer_of(const Options& options, std::unique_ptr<Model> model) {
  return algorithms().make(options)->make_trainer(options, std::move(model));
}

// Where the mean of two clients' updates on a_i (x - b_i)^2 / 2, a = (1, 4), b = (0, 1), leads.
float fixed_point(const Given& given, int rounds) {
  const Options options = make_options(given);
  const auto trainer = trainer_of(options, std::make_unique<Quadratic>(0.0F));
  const std::vector<std::shared_ptr<const ExampleSet>> clients{quadratic(1, 0), quadratic(4, 1)};
  double x = 3;
  for (Round round = 1; round <= rounds; ++round) {
    double mean = 0;
    for (std::size_t k = 0; k < clients.size(); ++k) {
      const float global = static_cast<float>(x);
      mean += trainer->train({&global, 1}, {static_cast<ClientId>(k), round, clients[k], nullptr}).values[0] /
              2.0;
    }
    x += mean;
  }
  return static_cast<float>(x);
}

TEST(FedAvg, HasTheFixedPointOfTheQuadratics) {
  EXPECT_NEAR(fixed_point({{"client.local_steps", "1"}}, 200), 0.8, 1e-6);
  EXPECT_NEAR(fixed_point({{"client.local_steps", "5"}}, 200), 0.6925023465, 1e-6);
  EXPECT_NEAR(fixed_point({{"client.local_epochs", "5"}}, 200), 0.6925023465, 1e-6);
}

TEST(FedProx, HasTheFixedPointOfTheExactProximalStep) {
  EXPECT_NEAR(
      fixed_point(
          {{"algorithm.name", "fedprox"}, {"algorithm.fedprox.mu", "1"}, {"client.local_steps", "300"}}, 100),
      0.6153846154, 1e-6);
}

struct Trained {
  std::vector<float> global;
  Update update;
};

Trained train(const Given& given, const std::shared_ptr<const ExampleSet>& examples, ClientId client = 3,
              Round round = 2) {
  const Options options = make_options(given);
  auto model = make_model(options, examples->shape());
  const std::vector<float> global(model->values().begin(), model->values().end());
  const auto trainer = trainer_of(options, std::move(model));
  return {global, trainer->train(global, {client, round, examples, nullptr})};
}

// weights -= lr * gradient over all of `examples` at once, by torch alone; returns the difference.
std::vector<float> full_batch_step(const Given& given, const ExampleSet& examples, float lr) {
  const auto model = make_model(make_options(given), examples.shape());
  std::vector<std::int64_t> indices(static_cast<std::size_t>(examples.size()));
  std::iota(indices.begin(), indices.end(), 0);
  std::vector<std::int64_t> extents{examples.size()};
  for (std::int64_t extent : examples.shape().features) extents.push_back(extent);
  const at::Tensor features = at::empty(extents);
  const at::Tensor labels = at::empty({examples.size()}, at::kLong);
  examples.gather(indices, features.data_ptr<float>(), labels.data_ptr<std::int64_t>());
  model->loss(model->forward(features), labels).backward();
  std::vector<float> difference;
  for (const at::Tensor& parameter : model->parameters()) {
    const at::Tensor gradient = parameter.grad().contiguous();
    for (std::int64_t i = 0; i < gradient.numel(); ++i)
      difference.push_back(-lr * gradient.data_ptr<float>()[i]);
  }
  return difference;
}

void expect_near(std::span<const float> a, std::span<const float> b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    worst = std::max(worst, std::abs(static_cast<double>(a[i]) - b[i]));
  EXPECT_LE(worst, tolerance);
}

TEST(FedSgd, IsOneFullBatchStep) {
  const auto examples = patterns(64, 1);
  for (const std::string model : {"logistic", "mlp"}) {
    const Given given{{"model.name", model}, {"algorithm.name", "fedsgd"}, {"client.lr", "0.1"}};
    const Trained trained = train(given, examples);
    expect_near(trained.update.values, full_batch_step(given, *examples, 0.1F), 1e-6);
    EXPECT_EQ(trained.update.info.samples, 64);
    EXPECT_EQ(trained.update.info.weight, 64);
  }
}

TEST(FedSgd, AddsUpTheGradientOfMoreExamplesThanFitIntoOnePart) {
  const auto examples = patterns(2300, 2);
  const Given given{{"model.name", "logistic"}, {"algorithm.name", "fedsgd"}};
  const Trained trained = train(given, examples);
  expect_near(trained.update.values, full_batch_step(given, *examples, 0.1F), 1e-6);
  EXPECT_EQ(trained.update.info.samples, 2300);
  EXPECT_NEAR(trained.update.info.train_loss, std::log(10.0), 0.3);
}

TEST(FedAvg, WorkersOfBatchBAreOneProcessOfBatchPTimesB) {
  const auto whole = patterns(40, 3);
  std::vector<float> sum(7850);
  std::vector<std::int64_t> indices(40);
  std::iota(indices.begin(), indices.end(), 0);
  std::vector<float> features(40 * 784);
  std::vector<std::int64_t> labels(40);
  whole->gather(indices, features.data(), labels.data());
  const Given given{{"model.name", "logistic"}, {"client.batch_size", "10"}, {"client.local_steps", "1"}};
  for (int worker = 0; worker < 4; ++worker) {
    const auto part = std::make_shared<testing::MemorySet>(
        whole->shape(),
        std::vector<float>(features.begin() + worker * 7840, features.begin() + (worker + 1) * 7840),
        std::vector<std::int64_t>(labels.begin() + worker * 10, labels.begin() + (worker + 1) * 10));
    const Trained trained = train(given, part, worker);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += trained.update.values[i] / 4;
  }
  Given one = given;
  one[1].second = "40";
  expect_near(train(one, whole).update.values, sum, 1e-6);
}

TEST(FedAvg, CountsTheLastPartialBatchAsAStep) {
  const Trained trained = train({{"model.name", "logistic"}, {"client.local_epochs", "3"}}, patterns(25, 4));
  EXPECT_EQ(trained.update.info.samples, 75);
  EXPECT_EQ(trained.update.info.weight, 25);
  EXPECT_EQ(trained.update.info.client, 3);
  EXPECT_EQ(trained.update.info.round, 2);
}

TEST(FedAvg, LearnsFromItsExamples) {
  for (const std::string model : {"logistic", "mlp", "cnn"}) {
    const auto examples = patterns(100, 5, {1, 8, 8});
    const Trained before = train({{"model.name", model}}, examples);
    const Trained after = train({{"model.name", model}, {"client.local_epochs", "30"}}, examples);
    EXPECT_LT(after.update.info.train_loss, before.update.info.train_loss * 0.8) << model;
  }
}

TEST(FedAvg, GivesTheSameBitsWhateverWasTrainedBefore) {
  const Options options = make_options({{"model.name", "mlp"}, {"client.momentum", "0.9"}});
  const auto examples = patterns(35, 6);
  auto model = make_model(options, examples->shape());
  const std::vector<float> global(model->values().begin(), model->values().end());
  const auto fresh = trainer_of(options, make_model(options, examples->shape()));
  const auto used = trainer_of(options, std::move(model));
  used->train(global, {1, 1, patterns(20, 7), nullptr});
  const Update a = fresh->train(global, {5, 4, examples, nullptr});
  const Update b = used->train(global, {5, 4, examples, nullptr});
  EXPECT_EQ(a.values, b.values);
  EXPECT_NE(a.values, used->train(global, {5, 5, examples, nullptr}).values);
}

TEST(FedAvg, AClientWithoutExamplesReturnsNothing) {
  const auto none = std::make_shared<testing::MemorySet>(ExampleShape{FeatureKind::reals, {2}, 1, 1},
                                                         std::vector<float>{}, std::vector<std::int64_t>{});
  const float global = 2;
  const Update update = trainer_of(make_options(), std::make_unique<Quadratic>(0.0F))
                            ->train({&global, 1}, {0, 1, none, nullptr});
  EXPECT_EQ(update.values[0], 0);
  EXPECT_EQ(update.info.weight, 0);
  EXPECT_EQ(update.info.samples, 0);
}

TEST(FedProx, WithoutItsTermIsFedAvgBitForBit) {
  for (const std::string model : {"logistic", "mlp", "cnn"}) {
    const auto examples = patterns(25, 8);
    const Given fedavg{{"model.name", model}, {"client.local_epochs", "2"}};
    Given fedprox = fedavg;
    fedprox.insert(fedprox.end(), {{"algorithm.name", "fedprox"}, {"algorithm.fedprox.mu", "0"}});
    EXPECT_EQ(train(fedavg, examples).update.values, train(fedprox, examples).update.values) << model;
  }
}

TEST(FedProx, StaysCloserToTheGlobalModel) {
  const auto examples = patterns(60, 9);
  const Given fedavg{{"model.name", "mlp"}, {"client.local_epochs", "5"}};
  Given fedprox = fedavg;
  fedprox.insert(fedprox.end(), {{"algorithm.name", "fedprox"}, {"algorithm.fedprox.mu", "1"}});
  const auto length = [](const Update& update) {
    double sum = 0;
    for (float x : update.values) sum += static_cast<double>(x) * x;
    return std::sqrt(sum);
  };
  EXPECT_LT(length(train(fedprox, examples).update), 0.9 * length(train(fedavg, examples).update));
}

TEST(FedProx, KeepsThePartialWorkOfStragglers) {
  const auto examples = patterns(20, 10);
  const Given given{{"model.name", "logistic"},
                    {"algorithm.name", "fedprox"},
                    {"client.local_epochs", "4"},
                    {"devices.straggler_fraction", "0.5"}};
  int stragglers = 0;
  for (ClientId client = 0; client < 40; ++client) {
    const bool straggles = is_straggler(1, 0.5, client, 2);
    stragglers += straggles ? 1 : 0;
    const std::int64_t epochs = straggles ? straggler_epochs(1, client, 2, 4) : 4;
    EXPECT_EQ(train(given, examples, client).update.info.samples, 20 * epochs) << client;
  }
  EXPECT_GT(stragglers, 5);
  EXPECT_LT(stragglers, 35);
}

TEST(Stragglers, AreTheFractionAskedForAndDoAnyNumberOfEpochs) {
  constexpr int kClients = 20'000;
  int count = 0;
  std::vector<int> epochs(6);
  for (ClientId client = 0; client < kClients; ++client) {
    if (!is_straggler(3, 0.3, client, 1)) continue;
    ++count;
    ++epochs.at(static_cast<std::size_t>(straggler_epochs(3, client, 1, 5)));
  }
  EXPECT_NEAR(count, kClients * 0.3, 5 * std::sqrt(kClients * 0.3 * 0.7));
  EXPECT_EQ(epochs[0], 0);
  for (int x = 1; x <= 5; ++x) EXPECT_NEAR(epochs[x], count / 5.0, 5 * std::sqrt(count * 0.16)) << x;
  EXPECT_FALSE(is_straggler(3, 0, 1, 1));
  EXPECT_TRUE(is_straggler(3, 1, 1, 1));
}

TEST(Presets, FixWhatTheAlgorithmMeans) {
  const Options fedsgd = make_options({{"algorithm.name", "fedsgd"}});
  EXPECT_EQ(fedsgd.integer("client.batch_size"), 0);
  EXPECT_THROW(make_options({{"algorithm.name", "fedsgd"}, {"client.batch_size", "10"}}), ConfigError);
  EXPECT_THROW(make_options({{"algorithm.name", "fedsgd"}, {"client.local_epochs", "2"}}), ConfigError);

  const Options local_sgd = make_options({{"algorithm.name", "local_sgd"}});
  EXPECT_EQ(local_sgd.integer("client.local_steps"), 10);
  EXPECT_EQ(local_sgd.real("cohort.fraction"), 1);
  EXPECT_EQ(local_sgd.text("server.weighting"), "uniform");
  EXPECT_EQ(make_options({{"algorithm.name", "local_sgd"}, {"client.local_steps", "7"}})
                .integer("client.local_steps"),
            7);
  EXPECT_THROW(make_options({{"algorithm.name", "local_sgd"}, {"client.local_steps", "0"}}), ConfigError);
  EXPECT_THROW(make_options({{"algorithm.name", "local_sgd"}, {"cohort.fraction", "0.5"}}), ConfigError);
  EXPECT_THROW(make_options({{"algorithm.name", "local_sgd"}, {"cohort.size", "1"}}), ConfigError);
}

TEST(Presets, OfAResolvedConfigurationChangeNothing) {
  for (const std::string& name : algorithms().names()) {
    const Options options = make_options({{"algorithm.name", name}});
    Options again(std::make_shared<OptionSchema>(options.schema()));
    std::istringstream ini(options.to_ini());
    std::string section;
    for (std::string line; std::getline(ini, line);) {
      if (line.starts_with('[')) section = line.substr(1, line.size() - 2) + '.';
      if (const auto equals = line.find(" = "); equals != std::string::npos) {
        again.set(section + line.substr(0, equals), line.substr(equals + 3));
      }
    }
    again.check_methods();
    algorithms().make(again)->preset(again);
    EXPECT_EQ(again.to_ini(), options.to_ini()) << name;
  }
}

}  // namespace
}  // namespace gossamer
