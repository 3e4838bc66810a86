#include "client/models/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>
#include <thread>

#include "core/error.h"
#include "tests/client/models/support.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;

using testing::batch_of;
using testing::copy;
using testing::images;
using testing::make;
using testing::model_options;
using testing::shape_for;
using testing::step;

class EveryModel : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, EveryModel, ::testing::ValuesIn(models().names()),
                         [](const auto& test) { return test.param; });

TEST_P(EveryModel, IsTheSameForTheSameSeedOnAnyThread) {
  at::manual_seed(1);
  const std::vector<float> first = copy(*make(GetParam()));
  at::manual_seed(2);
  std::vector<float> second;
  std::jthread([&] { second = copy(*make(GetParam())); }).join();
  EXPECT_EQ(first, second);
  EXPECT_NE(first, copy(*make(GetParam(), "2")));
}

TEST_P(EveryModel, LeavesTorchsGeneratorAlone) {
  at::manual_seed(5);
  const float expected = at::rand({1}).item<float>();
  at::manual_seed(5);
  const auto model = make(GetParam());
  const auto batch = batch_of(shape_for(GetParam()), 2);
  step(*model, batch, 0.1F);
  EXPECT_EQ(at::rand({1}).item<float>(), expected);
}

TEST_P(EveryModel, TensorsAreViewsOfTheFlatValues) {
  const auto model = make(GetParam());
  const auto& tensors = model->layout()->tensors();
  std::size_t parameters = 0;
  for (std::size_t i = 0; i < model->parameters().size(); ++i) {
    at::Tensor& parameter = model->parameters()[i];
    EXPECT_EQ(parameter.data_ptr<float>(), model->values().data() + tensors[i].offset);
    EXPECT_EQ(parameter.sizes(), at::IntArrayRef(tensors[i].shape));
    EXPECT_EQ(tensors[i].role, TensorRole::parameter);
    parameters += tensors[i].size;
  }
  EXPECT_EQ(parameters, model->layout()->parameter_count());

  // Writing through the flat values changes what the model computes, and only they decide it.
  model->set_training(false);
  const auto batch = batch_of(shape_for(GetParam()), 3);
  const at::Tensor before = model->forward(batch.features).detach().clone();
  const std::vector<float> saved = copy(*model);
  for (float& value : model->values()) value *= 1.5F;
  EXPECT_FALSE(at::equal(model->forward(batch.features), before));
  std::copy(saved.begin(), saved.end(), model->values().begin());
  EXPECT_TRUE(at::equal(model->forward(batch.features), before));
}

TEST_P(EveryModel, NotesEachUseOfAWeightInATrace) {
  const auto model = make(GetParam());
  model->set_training(false);
  const auto batch = batch_of(shape_for(GetParam()), 3);
  std::vector<LayerTrace> traces;
  if (GetParam() == "resnet18") {  // batch norm mixes examples
    EXPECT_FALSE(model->traces_layers());
    EXPECT_THROW(model->forward_traced(batch.features, traces), std::logic_error);
    return;
  }
  ASSERT_TRUE(model->traces_layers());
  const at::Tensor logits = model->forward_traced(batch.features, traces);
  EXPECT_TRUE(at::allclose(logits, model->forward(batch.features), 1e-5, 1e-6));
  std::vector<const float*> noted, expected;
  for (const LayerTrace& trace : traces) {
    EXPECT_TRUE(trace.output.requires_grad());
    EXPECT_FALSE(trace.input.requires_grad());
    for (const at::Tensor& tensor : {trace.weight, trace.bias}) {
      if (tensor.defined()) noted.push_back(tensor.data_ptr<float>());
    }
  }
  for (const at::Tensor& parameter : model->parameters()) expected.push_back(parameter.data_ptr<float>());
  EXPECT_THAT(noted, ::testing::UnorderedElementsAreArray(expected));
}

TEST_P(EveryModel, GradientsReachEveryParameterAndDescend) {
  const auto model = make(GetParam());
  const ExampleShape shape = shape_for(GetParam());
  const auto batch = batch_of(shape, 8);
  const float first = step(*model, batch, 0.05F);
  EXPECT_NEAR(first, std::log(static_cast<double>(shape.classes)), 1.0);
  for (std::size_t i = 0; i < model->parameters().size(); ++i) {
    ASSERT_TRUE(model->parameters()[i].grad().defined()) << model->layout()->tensors()[i].name;
    EXPECT_GT(model->parameters()[i].grad().abs().max().item<float>(), 0)
        << model->layout()->tensors()[i].name;
  }
  float last = first;
  for (int i = 0; i < 20; ++i) last = step(*model, batch, 0.05F);
  EXPECT_LT(last, first);
}

TEST_P(EveryModel, IsComputedFromTheVectorThatItIsMovedTo) {
  const auto model = make(GetParam()), other = make(GetParam(), "2");
  const std::vector<float> home = copy(*model);
  std::vector<float> there = copy(*other);
  const auto batch = batch_of(shape_for(GetParam()), 2);
  const auto loss_of = [&](Model& one) {
    one.set_randomness(Rng(1, Purpose::test));
    return one.loss(one.forward(batch.features), batch.labels);
  };
  const float wanted = loss_of(*other).item<float>();
  model->move_to(at::from_blob(there.data(), {static_cast<std::int64_t>(there.size())}, at::kFloat));
  const at::Tensor loss = loss_of(*model);
  EXPECT_EQ(loss.item<float>(), wanted);
  loss.backward();
  for (const at::Tensor& parameter : model->parameters()) EXPECT_TRUE(parameter.grad().defined());
  EXPECT_EQ(there, copy(*other));  // statistics too
  EXPECT_EQ(copy(*model), home);

  model->return_to_values();
  for (const at::Tensor& parameter : model->parameters()) EXPECT_FALSE(parameter.grad().defined());
  EXPECT_EQ(loss_of(*model).item<float>(), loss_of(*make(GetParam())).item<float>());
}

TEST_P(EveryModel, TrainingIsDeterministicGivenItsRandomStream) {
  const auto batch = batch_of(shape_for(GetParam()), 4);
  const auto train = [&](Model& model) {
    model.set_randomness(Rng(1, Purpose::augmentation, 7, 3));
    for (int i = 0; i < 2; ++i) step(model, batch, 0.05F);
    return copy(model);
  };
  const auto used = make(GetParam());
  const std::vector<float> start = copy(*used);
  step(*used, batch, 0.1F);  // another client's work on the same replica
  std::copy(start.begin(), start.end(), used->values().begin());
  EXPECT_EQ(train(*used), train(*make(GetParam())));
}

struct Count {
  const char* model;
  ExampleShape shape;
  std::size_t parameters;
};

TEST(Models, HaveTheParameterCountsOfTheirPapers) {
  const std::vector<Count> counts = {
      {"logistic", images(1, 28), 7'850},      {"mlp", images(1, 28), 199'210},
      {"cnn", images(1, 28), 1'663'370},       {"lenet", images(1, 28), 44'426},
      {"dp_cnn", images(1, 28), 26'010},       {"easgd_cnn", images(3, 32), 351'946},
      {"resnet18", images(3, 32), 11'173'962}, {"char_lstm", testing::text(80, 90), 822'570},
  };
  ASSERT_EQ(counts.size(), models().names().size());
  for (const Count& count : counts) {
    const auto model = make_model(model_options({{"model.name", count.model}}), count.shape);
    EXPECT_EQ(model->layout()->parameter_count(), count.parameters) << count.model;
  }
}

TEST(Models, AreDrawnFromPyTorchsDefaultDistributions) {
  const auto model = make("mlp");
  const auto& tensors = model->layout()->tensors();
  EXPECT_EQ(tensors[0].name, "fc1.weight");
  const at::Tensor& weight = model->parameters()[0];
  const double bound = 1 / std::sqrt(784.0);
  EXPECT_LE(weight.abs().max().item<double>(), bound);
  // The variance of U(-b, b) is b^2/3; five standard errors at 156,800 draws are about 1%.
  EXPECT_NEAR(weight.var().item<double>(), bound * bound / 3, 0.012 * bound * bound / 3);
  EXPECT_NEAR(weight.mean().item<double>(), 0, 5 * bound / std::sqrt(3.0 * 156'800));
  EXPECT_LE(model->parameters()[1].abs().max().item<double>(), bound);

  const auto lstm = make("char_lstm");
  EXPECT_GT(lstm->parameters()[0].abs().max().item<double>(), 1.5);  // N(0, 1)
  EXPECT_LE(lstm->parameters()[1].abs().max().item<double>(), 1.0 / 16);
}

TEST(Models, BatchNormStatisticsAreBuffersThatTrainingMoves) {
  const auto model = make("resnet18");
  const auto& tensors = model->layout()->tensors();
  std::size_t buffers = 0;
  const TensorSpec* mean = nullptr;
  for (const TensorSpec& tensor : tensors) {
    if (tensor.role == TensorRole::buffer) ++buffers;
    if (tensor.name == "bn1.running_mean") mean = &tensor;
    EXPECT_THAT(tensor.name, Not(HasSubstr("num_batches_tracked")));
  }
  EXPECT_EQ(buffers, 40U);  // 20 norms, a mean and a variance each
  EXPECT_EQ(model->layout()->size() - model->layout()->parameter_count(), 9'600U);
  ASSERT_NE(mean, nullptr);
  EXPECT_GE(mean->offset, model->layout()->parameter_count());

  const auto batch = batch_of(shape_for("resnet18"), 4);
  const std::vector<float> before = copy(*model);
  model->set_training(false);
  model->forward(batch.features);
  EXPECT_EQ(copy(*model), before);
  model->set_training(true);
  model->forward(batch.features);
  const std::span<const float> moved = model->values().subspan(mean->offset, mean->size);
  EXPECT_FALSE(
      std::equal(moved.begin(), moved.end(), before.begin() + static_cast<std::ptrdiff_t>(mean->offset)));
  const std::size_t parameters = model->layout()->parameter_count();
  EXPECT_TRUE(std::equal(before.begin(), before.begin() + static_cast<std::ptrdiff_t>(parameters),
                         model->values().begin()));
}

TEST(Models, DropoutAndCropsDrawFromTheGivenStreamInTrainingOnly) {
  const auto model = make("easgd_cnn");
  const at::Tensor features = batch_of(shape_for("easgd_cnn"), 3).features;
  const auto forward = [&](std::uint64_t client) {
    model->set_randomness(Rng(1, Purpose::augmentation, client));
    return model->forward(features).detach().clone();
  };
  EXPECT_TRUE(at::equal(forward(1), forward(1)));
  EXPECT_FALSE(at::equal(forward(1), forward(2)));
  model->set_training(false);
  EXPECT_TRUE(at::equal(forward(1), forward(2)));
}

TEST(Models, LossesAreWhatTheirNamesSay) {
  const at::Tensor logits = at::tensor({1.0F, 2.0F, 0.5F, -1.0F}).view({2, 2});
  const at::Tensor labels = at::tensor({1, 0}, at::kLong);
  const auto loss = [&](const std::string& name) {
    return make_model(model_options({{"model.name", "logistic"}, {"model.loss", name}}), images(1, 28))
        ->loss(logits, labels)
        .item<double>();
  };
  EXPECT_NEAR(loss("cross_entropy"), (std::log1p(std::exp(-1.0)) + std::log1p(std::exp(-1.5))) / 2, 1e-6);
  EXPECT_NEAR(loss("nll"), -(2.0 + 0.5) / 2, 1e-6);
  EXPECT_NEAR(loss("mse"), (1.0 + 1.0 + 0.25 + 1.0) / 4, 1e-6);
}

TEST(Models, RefuseExamplesThatTheyCannotRead) {
  const auto message = [](const std::string& model, const ExampleShape& shape) -> std::string {
    try {
      make_model(model_options({{"model.name", model}}), shape);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message("mlp", testing::text(80, 90)), HasSubstr("char_lstm"));
  EXPECT_THAT(message("char_lstm", images(1, 28)), HasSubstr("text"));
  EXPECT_THAT(message("cnn", {FeatureKind::reals, {784}, 1, 10}), HasSubstr("images of at least 4x4"));
  EXPECT_THAT(message("lenet", images(1, 8)), HasSubstr("16x16"));
  EXPECT_THAT(message("easgd_cnn", images(3, 24)), HasSubstr("28x28"));
  EXPECT_EQ(message("cnn", {FeatureKind::reals, {28, 28}, 1, 10}), "");
  EXPECT_EQ(message("lenet", {FeatureKind::pixels, {3, 33, 29}, 1, 10}), "");
}

}  // namespace
}  // namespace gossamer
