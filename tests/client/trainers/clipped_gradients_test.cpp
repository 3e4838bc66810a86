#include "client/trainers/clipped_gradients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <stdexcept>

#include "client/trainers/example_kernels.h"
#include "client/trainers/gradients.h"
#include "core/error.h"
#include "tests/client/models/support.h"

namespace gossamer {
namespace {

constexpr double kNoBound = std::numeric_limits<double>::infinity();

struct Sum {
  std::vector<float> values;
  std::vector<double> norms;
  ClippedSum info;
};

Sum clipped_sum(ClippedGradients& gradients, Model& model, const testing::Batch& batch,
                std::vector<double> bounds) {
  Sum sum;
  sum.values.assign(model.layout()->parameter_count(), -1);
  sum.norms.resize(bounds.size() * static_cast<std::size_t>(batch.features.size(0)));
  sum.info = gradients.compute(batch.features, batch.labels, bounds, false, sum.values, sum.norms);
  return sum;
}

testing::Batch part_of(const testing::Batch& batch, std::int64_t first, std::int64_t count) {
  const std::int64_t labels = batch.labels.numel() / batch.features.size(0);
  return {batch.features.narrow(0, first, count), batch.labels.narrow(0, first * labels, count * labels)};
}

double norm_of(std::span<const float> values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(squares);
}

double distance_of(std::span<const float> a, std::span<const float> b) {
  std::vector<float> difference(a.begin(), a.end());
  for (std::size_t i = 0; i < difference.size(); ++i) difference[i] -= b[i];
  return norm_of(difference);
}

double median_of(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2));
  return values[values.size() / 2];
}

// A model as {model.name, model.loss}; plain stacks with another loss go through autograd.
class ClippedModel : public ::testing::TestWithParam<std::pair<std::string, std::string>> {
 protected:
  ClippedModel()
      : model_(make_model(
            testing::model_options({{"model.name", GetParam().first}, {"model.loss", GetParam().second}}),
            testing::shape_for(GetParam().first))),
        fast_(make_clipped_gradients(*model_)),
        loop_(make_one_by_one_gradients(*model_)) {
    model_->set_training(false);  // a batch draws its crops in another order than its examples one by one
  }
  testing::Batch batch(std::int64_t examples) const {
    return testing::batch_of(testing::shape_for(GetParam().first), examples);
  }

  std::unique_ptr<Model> model_;
  std::unique_ptr<ClippedGradients> fast_, loop_;
};
INSTANTIATE_TEST_SUITE_P(
    Models, ClippedModel,
    ::testing::Values(std::pair{"logistic", "cross_entropy"}, std::pair{"mlp", "cross_entropy"},
                      std::pair{"cnn", "cross_entropy"}, std::pair{"lenet", "cross_entropy"},
                      std::pair{"dp_cnn", "cross_entropy"}, std::pair{"easgd_cnn", "cross_entropy"},
                      std::pair{"char_lstm", "cross_entropy"}, std::pair{"mlp", "mse"},
                      std::pair{"cnn", "mse"}),
    [](const auto& test) { return test.param.first + "_" + test.param.second; });

TEST_P(ClippedModel, HasEachExamplesOwnGradient) {
  const testing::Batch all = batch(5);
  EXPECT_FALSE(fast_->one_by_one());
  EXPECT_TRUE(loop_->one_by_one());
  for (std::int64_t i = 0; i < 5; ++i) {
    const Sum ours = clipped_sum(*fast_, *model_, part_of(all, i, 1), {kNoBound});
    const Sum expected = clipped_sum(*loop_, *model_, part_of(all, i, 1), {kNoBound});
    const double norm = norm_of(expected.values);
    EXPECT_GT(norm, 1e-3);
    EXPECT_LE(distance_of(ours.values, expected.values), 1e-5 * norm);
    EXPECT_NEAR(ours.norms[0], norm, 1e-5 * norm);
    EXPECT_NEAR(ours.info.loss, expected.info.loss, 1e-5);
  }
}

TEST_P(ClippedModel, SumsAndNormsAreThoseOfTheLoop) {
  for (const std::int64_t examples : {2, 7, 19}) {
    const testing::Batch all = batch(examples);
    const Sum plain = clipped_sum(*loop_, *model_, all, {kNoBound});
    const double middle = median_of(plain.norms);  // clips some and leaves others
    for (const double bound : {kNoBound, middle, 0.01 * middle}) {
      const Sum ours = clipped_sum(*fast_, *model_, all, {bound});
      const Sum expected = clipped_sum(*loop_, *model_, all, {bound});
      EXPECT_LE(distance_of(ours.values, expected.values), 1e-5 * norm_of(expected.values)) << bound;
      for (std::size_t i = 0; i < plain.norms.size(); ++i) {
        EXPECT_NEAR(ours.norms[i], plain.norms[i], 1e-5 * plain.norms[i]);
      }
      EXPECT_NEAR(ours.info.loss, expected.info.loss, 1e-5);
    }
  }
}

TEST_P(ClippedModel, WithoutABoundIsTheSumOfPlainGradients) {
  model_->set_training(true);
  const testing::Batch all = batch(13);
  const auto gradients = make_autograd_gradients(*model_);
  model_->set_randomness(Rng(1, Purpose::test));
  const float loss = gradients->compute(all.features, all.labels, 13, false);
  std::vector<float> expected;
  for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
    const auto part = gradients->of(i);
    expected.insert(expected.end(), part.begin(), part.end());
  }
  model_->set_randomness(Rng(1, Purpose::test));
  const Sum ours = clipped_sum(*fast_, *model_, all, {kNoBound});
  EXPECT_LE(distance_of(ours.values, expected), 2e-6 * norm_of(expected));
  EXPECT_NEAR(ours.info.loss, loss, 1e-5);
}

TEST_P(ClippedModel, NoExampleAddsMoreThanTheBound) {
  const testing::Batch all = batch(6);
  for (std::int64_t i = 0; i < 6; ++i) {
    const double norm = clipped_sum(*fast_, *model_, part_of(all, i, 1), {kNoBound}).norms[0];
    for (const double fraction : {1e-4, 0.3, 0.999}) {
      const double bound = fraction * norm;
      for (ClippedGradients* gradients : {fast_.get(), loop_.get()}) {
        const Sum one = clipped_sum(*gradients, *model_, part_of(all, i, 1), {bound});
        EXPECT_LE(norm_of(one.values), bound * (1 + 1e-6));
        EXPECT_GE(norm_of(one.values), bound * (1 - 1e-5));
      }
    }
  }
}

TEST_P(ClippedModel, ADuplicateMovesTheSumByTheBound) {
  const testing::Batch all = batch(8);
  testing::Batch more{at::cat({all.features, all.features.narrow(0, 3, 1)}),
                      at::cat({all.labels, part_of(all, 3, 1).labels})};
  const Sum before = clipped_sum(*fast_, *model_, all, {kNoBound});
  const double bound = 0.2 * before.norms[3];
  const Sum less = clipped_sum(*fast_, *model_, all, {bound});
  const Sum after = clipped_sum(*fast_, *model_, more, {bound});
  const double moved = distance_of(after.values, less.values);
  EXPECT_LE(moved, bound * (1 + 1e-5));
  EXPECT_GE(moved, bound * (1 - 1e-4));
  EXPECT_LT(moved, before.norms[3] / 2);
}

TEST_P(ClippedModel, ClipsEachLayerByItself) {
  const std::size_t layers = fast_->layers();
  const testing::Batch all = batch(7);
  const std::vector<double> none(layers, kNoBound);
  const Sum plain = clipped_sum(*loop_, *model_, all, none);
  std::vector<double> bounds;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const auto first = plain.norms.begin() + static_cast<std::ptrdiff_t>(7 * layer);
    bounds.push_back(median_of({first, first + 7}));
  }
  const Sum ours = clipped_sum(*fast_, *model_, all, bounds);
  const Sum expected = clipped_sum(*loop_, *model_, all, bounds);
  EXPECT_LE(distance_of(ours.values, expected.values), 1e-5 * norm_of(expected.values));
  if (layers > 1) {
    EXPECT_GT(distance_of(ours.values, clipped_sum(*fast_, *model_, all, none).values), 0.01);
  }
  ASSERT_EQ(ours.norms.size(), 7 * layers);
  const Sum whole = clipped_sum(*fast_, *model_, all, {kNoBound});
  for (std::size_t i = 0; i < 7; ++i) {
    double squares = 0;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      EXPECT_NEAR(ours.norms[7 * layer + i], plain.norms[7 * layer + i], 1e-5 * plain.norms[7 * layer + i]);
      squares += ours.norms[7 * layer + i] * ours.norms[7 * layer + i];
    }
    EXPECT_NEAR(std::sqrt(squares), whole.norms[i], 1e-6 * whole.norms[i]);
  }
}

TEST_P(ClippedModel, AnExampleWithoutAFiniteGradientAddsNothing) {
  const testing::Batch all = batch(6);
  // Examples 1 and 5 are spoilt: by a pixel, or by a character whose embedding is not a number.
  testing::Batch spoilt{all.features.clone(), all.labels};
  if (GetParam().first == "char_lstm") {
    spoilt.features.masked_fill_(spoilt.features == 0, 1);
    model_->parameters()[0].detach()[0][3] = std::numeric_limits<float>::quiet_NaN();
    spoilt.features[1][7] = 0;
    spoilt.features[5][0] = 0;
  } else {
    spoilt.features[1].view(-1)[300] = std::numeric_limits<float>::quiet_NaN();
    spoilt.features[5].view(-1)[400] = std::numeric_limits<float>::infinity();
  }
  const at::Tensor kept = at::tensor({0, 2, 3, 4}, at::kLong);
  const testing::Batch rest{spoilt.features.index_select(0, kept),
                            spoilt.labels.view({6, -1}).index_select(0, kept).view(-1)};
  for (const std::size_t layers : {std::size_t{1}, fast_->layers()}) {
    const std::vector<double> bounds(layers, 0.5);
    for (ClippedGradients* gradients : {fast_.get(), loop_.get()}) {
      const Sum ours = clipped_sum(*gradients, *model_, spoilt, bounds);
      const Sum expected = clipped_sum(*loop_, *model_, rest, bounds);
      EXPECT_EQ(ours.info.not_finite, 2);
      EXPECT_EQ(expected.info.not_finite, 0);
      EXPECT_LE(distance_of(ours.values, expected.values), 1e-5 * norm_of(expected.values));
      EXPECT_NEAR(ours.info.loss, expected.info.loss, 1e-5);
    }
  }
}

TEST_P(ClippedModel, OfNothingIsZero) {
  const testing::Batch none = part_of(batch(1), 0, 0);
  const Sum sum = clipped_sum(*fast_, *model_, none, {1.0});
  EXPECT_THAT(sum.values, ::testing::Each(0.0F));
  EXPECT_EQ(sum.info.not_finite, 0);
  EXPECT_EQ(sum.info.loss, 0);

  std::ranges::fill(model_->values(), std::numeric_limits<float>::quiet_NaN());
  const Sum spoilt = clipped_sum(*fast_, *model_, batch(3), {1.0});
  EXPECT_THAT(spoilt.values, ::testing::Each(0.0F));
  EXPECT_EQ(spoilt.info.not_finite, 3);
  EXPECT_EQ(spoilt.info.loss, 0);
}

TEST_P(ClippedModel, AddsToWhatIsThere) {
  const testing::Batch all = batch(9);
  const Sum whole = clipped_sum(*fast_, *model_, all, {0.7});
  Sum parts = clipped_sum(*fast_, *model_, part_of(all, 0, 4), {0.7});
  const testing::Batch rest = part_of(all, 4, 5), none = part_of(all, 0, 0);
  const std::vector<double> bound{0.7};
  fast_->compute(rest.features, rest.labels, bound, true, parts.values);
  fast_->compute(none.features, none.labels, bound, true, parts.values);
  EXPECT_LE(distance_of(parts.values, whole.values), 2e-6 * norm_of(whole.values));
}

std::unique_ptr<Model> text_model(std::int64_t window) {
  return make_model(testing::model_options({{"model.name", "char_lstm"}}), testing::text(window, 30));
}

// More examples than are taken at once, and sequences so long that their gradients are kept.
TEST(ClippedText, OfAnyLength) {
  for (const auto& [window, examples] : {std::pair{3, 45}, {90, 3}}) {
    const auto model = text_model(window);
    const auto fast = make_clipped_gradients(*model), loop = make_one_by_one_gradients(*model);
    const testing::Batch batch = testing::batch_of(testing::text(window, 30), examples);
    const Sum expected = clipped_sum(*loop, *model, batch, {0.4});
    const Sum ours = clipped_sum(*fast, *model, batch, {0.4});
    EXPECT_LE(distance_of(ours.values, expected.values), 1e-5 * norm_of(expected.values));
    for (std::size_t i = 0; i < ours.norms.size(); ++i) {
      EXPECT_NEAR(ours.norms[i], expected.norms[i], 1e-5 * expected.norms[i]);
    }
    EXPECT_NEAR(ours.info.loss, expected.info.loss, 1e-5);
  }
}

TEST(ClippedLayers, AreModules) {
  const auto layers_of = [](const std::string& name) {
    const auto model = testing::make(name);
    return make_clipped_gradients(*model)->layers();
  };
  EXPECT_EQ(layers_of("logistic"), 1U);
  EXPECT_EQ(layers_of("mlp"), 3U);
  EXPECT_EQ(layers_of("cnn"), 4U);
  EXPECT_EQ(layers_of("char_lstm"), 3U);
}

TEST(ClippedLayers, NeedOneBoundEachOrOneForAll) {
  const auto model = testing::make("mlp");
  const auto gradients = make_clipped_gradients(*model);
  const testing::Batch batch = testing::batch_of(testing::shape_for("mlp"), 2);
  for (const std::vector<double>& bounds :
       {std::vector<double>{}, {1, 1}, {1, 1, 0}, {-1}, {0}, {std::nan("")}}) {
    EXPECT_THROW(clipped_sum(*gradients, *model, batch, bounds), std::invalid_argument);
  }
}

TEST(ClippedBatchNorm, IsRefused) {
  const auto model = testing::make("resnet18");
  try {
    make_clipped_gradients(*model);
    ADD_FAILURE() << "not refused";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("batch norm (bn1.running_mean)"));
  }
}

// A model of the user's: a black box.
class BlackBox final : public Model {
 public:
  explicit BlackBox(bool counts) : counts_(counts) {
    Rng rng(5, Purpose::test);
    weight_ = at::empty({10, 784});
    for (std::int64_t i = 0; i < weight_.numel(); ++i)
      weight_.data_ptr<float>()[i] = rng.uniform_float() - 0.5F;
    weight_.set_requires_grad(true);
    seen_ = at::zeros({1});
    adopt({{"weight", weight_}}, {{"seen", seen_}});
  }
  at::Tensor forward(const at::Tensor& features) override {
    const at::NoGradGuard no_grad;
    if (counts_) seen_.add_(features.sum());
    const at::AutoGradMode with_gradients(true);
    return at::mm(features.view({-1, 784}), weight_.t());
  }
  at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels) override {
    return at::cross_entropy_loss(logits, labels);
  }
  void set_training(bool) override {}
  void save(const std::string&) const override {}
  void load(const std::string&) override {}

 private:
  bool counts_;
  at::Tensor weight_, seen_;
};

TEST(ClippedBlackBox, GoesOneByOne) {
  BlackBox model(false);
  const auto gradients = make_clipped_gradients(model);
  EXPECT_TRUE(gradients->one_by_one());
  const testing::Batch batch = testing::batch_of(testing::images(1, 28), 11);
  const Sum sum = clipped_sum(*gradients, model, batch, {kNoBound});
  const auto plain = make_autograd_gradients(model);
  plain->compute(batch.features, batch.labels, 11, false);
  EXPECT_LE(distance_of(sum.values, plain->of(0)), 2e-6 * norm_of(plain->of(0)));
  EXPECT_LE(norm_of(clipped_sum(*gradients, model, batch, {0.1}).values), 1.1 * (1 + 1e-6));
}

TEST(ClippedBlackBox, MayNotKeepStatisticsOfExamples) {
  BlackBox model(true);
  const auto gradients = make_clipped_gradients(model);
  const testing::Batch batch = testing::batch_of(testing::images(1, 28), 2);
  EXPECT_THROW(clipped_sum(*gradients, model, batch, {1.0}), RunError);
  EXPECT_EQ(model.values().back(), 0) << "what the example left there is gone";
}

TEST(ClippedScript, GoesOneByOne) {
  std::string name = (std::filesystem::temp_directory_path() / "gossamer-clipped-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  const auto native = testing::make("logistic");
  torch::jit::Module module("Logistic");
  module.register_parameter("w", native->parameters()[0].detach().clone().set_requires_grad(true), false);
  module.register_parameter("b", native->parameters()[1].detach().clone().set_requires_grad(true), false);
  module.define("def forward(self, x):\n  return torch.addmm(self.b, torch.flatten(x, 1), self.w.t())\n");
  const std::string file = (folder / "model.pt").string();
  module.save(file);
  const auto scripted = make_model(testing::model_options({{"model.file", file}}), testing::images(1, 28));
  std::filesystem::remove_all(folder);

  const auto gradients = make_clipped_gradients(*scripted);
  EXPECT_TRUE(gradients->one_by_one());
  const testing::Batch batch = testing::batch_of(testing::images(1, 28), 9);
  const Sum ours = clipped_sum(*gradients, *scripted, batch, {0.8});
  const Sum expected = clipped_sum(*make_clipped_gradients(*native), *native, batch, {0.8});
  EXPECT_LE(distance_of(ours.values, expected.values), 1e-5 * norm_of(expected.values));
}

TEST(ExampleKernels, UnfoldAsATenDoes) {
  for (const auto& [channels, height, width, kernel, padding, stride] :
       {std::array<std::int64_t, 6>{1, 28, 28, 5, 2, 1},
        {3, 7, 9, 3, 0, 1},
        {2, 5, 33, 5, 1, 1},
        {4, 4, 4, 3, 0, 1},
        {1, 28, 28, 8, 3, 2},
        {2, 9, 12, 4, 0, 3}}) {
    Rng rng(2, Purpose::test);
    at::Tensor image = at::empty({1, channels, height, width});
    for (std::int64_t i = 0; i < image.numel(); ++i) image.data_ptr<float>()[i] = rng.uniform_float();
    const auto size = [](std::int64_t n) { return static_cast<std::size_t>(n); };
    const Patches patches{size(channels), size(height),  size(width),
                          size(kernel),   size(padding), size(stride)};
    std::vector<float> padded(patches.padded_floats()), matrix(patches.matrix_floats());
    unfold({image.data_ptr<float>(), size(image.numel())}, patches, padded, matrix);
    const at::Tensor expected =
        at::im2col(image, {kernel, kernel}, {1, 1}, {padding, padding}, {stride, stride});
    ASSERT_EQ(size(expected.numel()), patches.size() * patches.positions());
    for (std::size_t i = 0; i < size(expected.numel()); ++i) {
      ASSERT_EQ(matrix[i], expected.data_ptr<float>()[i]) << i;
    }
  }
}

TEST(ExampleKernels, SquaresOfRowsOfAnyWidth) {
  for (const std::size_t width : {1U, 15U, 16U, 17U, 100U}) {
    std::vector<float> matrix(3 * width);
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = static_cast<float>(i % 7) - 2;
    std::vector<double> squares(3, -1);
    row_squares(matrix, squares);
    for (std::size_t row = 0; row < 3; ++row) {
      double expected = 0;
      for (std::size_t j = 0; j < width; ++j) expected += std::pow(matrix[row * width + j], 2);
      EXPECT_EQ(squares[row], expected);
    }
  }
}

}  // namespace
}  // namespace gossamer
