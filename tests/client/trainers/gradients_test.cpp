#include "client/trainers/gradients.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <stdexcept>

#include "support.h"

namespace gossamer {
namespace {

using testing::make_options;
using testing::patterns;

struct Batch {
  at::Tensor features, labels;
};

Batch batch_of(std::int64_t size, std::uint64_t seed) {
  const auto examples = patterns(size, seed);
  Batch batch{at::empty({size, 1, 28, 28}), at::empty({size}, at::kLong)};
  std::vector<std::int64_t> indices(static_cast<std::size_t>(size));
  std::iota(indices.begin(), indices.end(), 0);
  examples->gather(indices, batch.features.data_ptr<float>(), batch.labels.data_ptr<std::int64_t>());
  return batch;
}

std::unique_ptr<Model> model_of(const std::string& name) {
  return make_model(make_options({{"model.name", name}}), {FeatureKind::reals, {1, 28, 28}, 1, 10});
}

std::vector<float> gradient_of(Gradients& gradients, Model& model) {
  std::vector<float> flat;
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const auto part = gradients.of(i);
    flat.insert(flat.end(), part.begin(), part.end());
  }
  return flat;
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b) {
  ASSERT_EQ(a.size(), b.size());
  float worst = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  EXPECT_GT(largest, 1e-3F);
  EXPECT_LE(worst, 1e-6F);
}

class PlainStacks : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, PlainStacks, ::testing::Values("logistic", "mlp", "cnn", "lenet"),
                         [](const auto& model) { return model.param; });

TEST_P(PlainStacks, HaveAutogradsGradients) {
  const auto model = model_of(GetParam());
  const auto stack = make_stack_gradients(*model);
  const auto autograd = make_autograd_gradients(*model);
  ASSERT_TRUE(stack);
  // The second batch is smaller, the third larger; the last two add up.
  std::uint64_t seed = 0;
  for (const auto& [size, share, add] :
       {std::tuple{12, 1.0F, false}, {5, 1.0F, false}, {30, 0.6F, false}, {20, 0.4F, true}}) {
    const Batch batch = batch_of(size, ++seed);
    const float expected = autograd->compute(batch.features, batch.labels, share, add);
    EXPECT_NEAR(stack->compute(batch.features, batch.labels, share, add), expected, 1e-5);
    expect_near(gradient_of(*stack, *model), gradient_of(*autograd, *model));
  }
}

// Collects parts into a flat gradient. Every parameter is announced before it is read, and leaves once, from
// the last to the first.
class RecordedFlow final : public GradientFlow {
 public:
  RecordedFlow(std::size_t parameters, std::size_t longest)
      : flat(parameters), longest_(longest), end_(parameters) {}
  void before_use(std::size_t offset, std::size_t count) override {
    EXPECT_EQ(offset, used) << "layers in order, each once";
    used = offset + count;
  }
  std::size_t longest_part() const noexcept override { return longest_; }
  std::span<float> part(std::size_t offset, std::size_t count) override {
    EXPECT_EQ(used, flat.size());
    EXPECT_EQ(offset + count, end_);
    EXPECT_GT(count, 0U);
    EXPECT_LE(count, longest_);
    end_ = offset;
    return std::span(flat).subspan(offset, count);
  }
  void leave() override { ++parts; }
  std::vector<float> flat;
  std::size_t used = 0, parts = 0;

 private:
  std::size_t longest_, end_;
};

TEST_P(PlainStacks, LetTheirGradientsGoAsTheyAreReady) {
  const auto model = model_of(GetParam());
  const std::size_t count = model->layout()->parameter_count();
  const auto stack = make_stack_gradients(*model), autograd = make_autograd_gradients(*model);
  const Batch batch = batch_of(12, 3);
  autograd->compute(batch.features, batch.labels, 0.6F, false);
  const std::vector<float> expected = gradient_of(*autograd, *model);
  for (const std::size_t longest : {100U, 5000U, 10'000'000U}) {  // less than a row, some rows, all
    RecordedFlow of_stack(count, longest), of_autograd(count, longest);
    stack->compute_through(batch.features, batch.labels, 0.6F, of_stack);
    autograd->compute_through(batch.features, batch.labels, 0.6F, of_autograd);
    expect_near(of_stack.flat, expected);
    EXPECT_EQ(of_autograd.flat, expected);
    for (const RecordedFlow& flow : {of_stack, of_autograd}) {
      EXPECT_EQ(flow.used, count);
      EXPECT_GE(flow.parts, std::max(count / longest, model->parameters().size()));
    }
  }
}

TEST_P(PlainStacks, DescendByTheGradient) {
  const auto model = model_of(GetParam());
  const auto stack = make_stack_gradients(*model);
  const std::vector<float> before(model->values().begin(), model->values().end());
  const Batch batch = batch_of(10, 7);
  const float loss = stack->compute(batch.features, batch.labels, 1, false);
  const std::vector<float> gradient = gradient_of(*stack, *model);
  std::vector<float> expected;
  for (std::size_t i = 0; i < before.size(); ++i) expected.push_back(0.9F * before[i] - 0.5F * gradient[i]);
  EXPECT_EQ(stack->descend(batch.features, batch.labels, {.keep = 0.9F, .rate = 0.5F}), loss);
  expect_near({model->values().begin(), model->values().end()}, expected);
}

TEST_P(PlainStacks, RefuseALabelThatIsNoClass) {
  const auto model = model_of(GetParam());
  const auto stack = make_stack_gradients(*model);
  const Batch batch = batch_of(4, 8);
  for (std::int64_t label : {-1, 10}) {
    batch.labels[2] = label;
    EXPECT_THROW(stack->compute(batch.features, batch.labels, 1, false), std::out_of_range);
  }
}

TEST(PlainStack, IsNotAModelWithAnotherLoss) {
  const auto model = make_model(make_options({{"model.name", "mlp"}, {"model.loss", "mse"}}),
                                {FeatureKind::reals, {1, 28, 28}, 1, 10});
  EXPECT_FALSE(make_stack_gradients(*model));
}

TEST(PlainStack, ShowsADivergedModel) {
  const auto model = model_of("mlp");
  std::ranges::fill(model->values(), std::numeric_limits<float>::quiet_NaN());
  const Batch batch = batch_of(4, 9);
  EXPECT_TRUE(std::isnan(make_stack_gradients(*model)->compute(batch.features, batch.labels, 1, false)));
}

}  // namespace
}  // namespace gossamer
