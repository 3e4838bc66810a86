// The trainer for other devices, with the processor as the device: what it does is ATen's, wherever that is.
#include "client/trainers/device_trainer.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "client/device.h"
#include "client/models/models.h"
#include "client/trainers/minibatches.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::make_options;
using testing::patterns;
using Given = std::vector<std::pair<std::string, std::string>>;

struct Work {
  Update update;
  std::vector<float> model_after;
  double length = 0;  // of the update
};

Work work_of(LocalTrainer& trainer, Model& model, std::span<const float> global, const TrainTask& task) {
  Work trained{trainer.train(global, task), {}};
  EXPECT_EQ(trained.update.on_device == nullptr, !trained.update.values.empty());
  trained.update.bring_to_host();
  trained.model_after.assign(model.values().begin(), model.values().end());
  for (const float x : trained.update.values) trained.length += static_cast<double>(x) * x;
  trained.length = std::sqrt(trained.length);
  return trained;
}

double distance(const FloatBuffer& a, const FloatBuffer& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::pow(static_cast<double>(a[i]) - b[i], 2);
  return std::sqrt(sum);
}

// The averaging trainer and that for a device, from the same model.
class Both {
 public:
  Both(const Given& given, const std::shared_ptr<const ExampleSet>& examples, at::Device device)
      : options_(make_options(given)),
        here_(make_model(options_, examples->shape())),
        there_(make_model(options_, examples->shape())),
        start_(here_->values().begin(), here_->values().end()),
        model_here_(*here_),
        model_there_(*there_),
        plain_(algorithms().make(options_)->make_trainer(options_, std::move(here_))),
        device_(make_device_trainer(options_, std::move(there_), device)) {}

  const std::vector<float>& start() const { return start_; }
  Work here(const TrainTask& task) { return work_of(*plain_, model_here_, start_, task); }
  Work there(const TrainTask& task) { return work_of(*device_, model_there_, start_, task); }

 private:
  Options options_;
  std::unique_ptr<Model> here_, there_;
  std::vector<float> start_;
  Model &model_here_, &model_there_;
  std::unique_ptr<LocalTrainer> plain_, device_;
};

class DeviceTrainers : public ::testing::TestWithParam<Given> {};

TEST_P(DeviceTrainers, TrainAsOnTheProcessor) {
  const auto examples = patterns(130, 7);
  Both both(GetParam(), examples, at::kCPU);
  for (Round round = 1; round <= 2; ++round) {
    const TrainTask task{3, round, examples, nullptr};
    const Work wanted = both.here(task), got = both.there(task);
    ASSERT_EQ(got.update.values.size(), wanted.update.values.size());
    EXPECT_GT(wanted.length, 1e-3);
    EXPECT_LT(distance(got.update.values, wanted.update.values), 2e-5 * wanted.length);
    EXPECT_EQ(got.update.info.samples, wanted.update.info.samples);
    EXPECT_EQ(got.update.info.weight, wanted.update.info.weight);
    EXPECT_NEAR(got.update.info.train_loss, wanted.update.info.train_loss, 1e-5);
    EXPECT_EQ(got.update.info.client, 3);
    EXPECT_EQ(got.update.info.round, round);
    // Its own values are not what was trained.
    EXPECT_EQ(got.model_after, both.start());
  }
}

INSTANTIATE_TEST_SUITE_P(
    Settings, DeviceTrainers,
    ::testing::Values(Given{{"model.name", "logistic"}}, Given{{"model.name", "mlp"}},
                      Given{{"model.name", "lenet"}, {"client.batch_size", "50"}},
                      Given{{"model.name", "cnn"}, {"client.local_steps", "3"}},
                      Given{{"model.name", "dp_cnn"}},
                      Given{{"model.name", "mlp"}, {"client.momentum", "0.9"}, {"client.lr", "0.02"}},
                      Given{{"model.name", "mlp"},
                            {"client.momentum", "0.9"},
                            {"client.nesterov", "true"},
                            {"client.weight_decay", "0.01"},
                            {"client.lr", "0.02"}},
                      Given{{"model.name", "mlp"}, {"client.weight_decay", "0.1"}},
                      Given{{"algorithm.name", "fedsgd"}, {"model.name", "mlp"}},
                      Given{{"model.name", "mlp"}, {"client.local_epochs", "3"}}));

// Batches of more than a part.
TEST(DeviceTrainer, AddsUpTheGradientsOfALargeBatchsParts) {
  const auto examples = patterns(2 * Minibatches::kMicroBatch + 77, 7);
  Both both({{"model.name", "logistic"}, {"client.batch_size", "0"}}, examples, at::kCPU);
  const TrainTask task{0, 1, examples, nullptr};
  const Work wanted = both.here(task), got = both.there(task);
  EXPECT_LT(distance(got.update.values, wanted.update.values), 2e-5 * wanted.length);
}

TEST(DeviceTrainer, CountsTheStepsThatTheServerAsksFor) {
  const Options options = make_options({{"model.name", "logistic"}});
  const auto examples = patterns(40, 7);
  const auto trainer = make_device_trainer(options, make_model(options, examples->shape()), at::kCPU);
  const std::vector<float> start(make_model(options, examples->shape())->values().size());
  TrainTask task{0, 1, examples, nullptr};
  task.steps = 3;
  EXPECT_EQ(trainer->train(start, task).info.samples, 30);
}

TEST(DeviceTrainer, AClientWithoutExamplesSendsNoChange) {
  const Options options = make_options({{"model.name", "logistic"}});
  const auto trainer = make_device_trainer(options, make_model(options, patterns(1, 1)->shape()), at::kCPU);
  const std::vector<float> start(make_model(options, patterns(1, 1)->shape())->values().size(), 0.5F);
  Update update = trainer->train(start, {0, 1, patterns(0, 1), nullptr});
  update.bring_to_host();
  EXPECT_EQ(update.values, FloatBuffer(start.size(), 0.0F));
  EXPECT_EQ(update.info.weight, 0);
}

TEST(DeviceTrainer, WorkThatIsCalledOffLeavesTheModelHere) {
  const Options options = make_options({{"model.name", "logistic"}});
  const auto examples = patterns(40, 7);
  auto made = make_model(options, examples->shape());
  Model& model = *made;
  const std::vector<float> start(model.values().begin(), model.values().end());
  const auto trainer = make_device_trainer(options, std::move(made), at::kCPU);
  TrainTask task{0, 1, examples, nullptr};
  task.called_off = [calls = 0]() mutable { return ++calls == 3; };
  EXPECT_THROW(trainer->train(start, task), WorkCalledOff);
  const float* const weight = model.parameters().front().data_ptr<float>();
  EXPECT_EQ(weight, model.values().data());
  EXPECT_FALSE(model.parameters().front().grad().defined());
}

TEST(Device, IsRefusedInOneLineWhereThereIsNone) {
  // What is refused is the lack of one; TrainsOnAGpu is the other half.
  if (torch::cuda::is_available()) GTEST_SKIP() << "there is one";
  const Options options = make_options({{"run.device", "cuda"}, {"model.name", "logistic"}});
  try {
    static_cast<void>(
        algorithms().make(options)->make_trainer(options, make_model(options, patterns(1, 1)->shape())));
    FAIL() << "not refused";
  } catch (const RunError& error) {
    EXPECT_EQ(std::string(error.what()),
              "run.device = cuda: this libtorch has no CUDA, or finds no GPU; use run.device = cpu");
  }
}

// On a GPU, where there is one: the same as the processor's, up to the rounding of its libraries.
TEST(Device, TrainsOnAGpu) {
  // Needs the device itself; DeviceTrainers.* run the same steps everywhere.
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no CUDA device";
  for (const char* const name : {"mlp", "cnn", "lenet"}) {
    const auto examples = patterns(130, 7);
    Both both({{"model.name", name}, {"client.local_steps", "5"}}, examples, at::kCUDA);
    const TrainTask task{0, 1, examples, nullptr};
    const Work wanted = both.here(task), got = both.there(task);
    EXPECT_LT(distance(got.update.values, wanted.update.values), 1e-2 * wanted.length) << name;
  }
}

}  // namespace
}  // namespace gossamer
