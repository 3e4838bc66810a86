#include "client/evaluator.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/client/models/support.h"

namespace gossamer {
namespace {

using testing::batch_of;
using testing::make;
using testing::shape_for;

// Examples of testing::batch_of(), by index.
class Examples final : public ExampleSet {
 public:
  Examples(ExampleShape shape, std::int64_t count)
      : shape_(std::move(shape)), batch_(batch_of(shape_, count)) {}
  std::int64_t size() const override { return batch_.features.size(0); }
  const ExampleShape& shape() const override { return shape_; }
  void gather(std::span<const std::int64_t> indices, float* features, std::int64_t* labels) const override {
    copy(batch_.features, indices, shape_.feature_count(), features);
    copy(batch_.labels, indices, shape_.labels, labels);
  }
  void gather(std::span<const std::int64_t> indices, std::int64_t* tokens,
              std::int64_t* labels) const override {
    copy(batch_.features, indices, shape_.feature_count(), tokens);
    copy(batch_.labels, indices, shape_.labels, labels);
  }
  const testing::Batch& batch() const { return batch_; }

 private:
  template <class T>
  static void copy(const at::Tensor& tensor, std::span<const std::int64_t> indices, std::int64_t width,
                   T* out) {
    for (std::int64_t index : indices) out = std::copy_n(tensor.data_ptr<T>() + index * width, width, out);
  }
  ExampleShape shape_;
  testing::Batch batch_;
};

class EveryModelEvaluated : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Models, EveryModelEvaluated, ::testing::ValuesIn(models().names()),
                         [](const auto& test) { return test.param; });

TEST_P(EveryModelEvaluated, AgreesWithOneForwardPass) {
  const ExampleShape shape = shape_for(GetParam());
  constexpr std::int64_t kExamples = 11;
  const auto examples = std::make_shared<Examples>(shape, kExamples);
  const auto reference = make(GetParam(), "3");
  reference->set_training(false);
  const at::Tensor logits = reference->forward(examples->batch().features).detach();
  const double loss = reference->loss(logits, examples->batch().labels).item<double>();
  const auto correct = (logits.argmax(1) == examples->batch().labels).sum().item<std::int64_t>();

  const auto model = make(GetParam(), "4");
  const Evaluation whole = Evaluator(*model, examples).evaluate(reference->values());
  EXPECT_EQ(whole.count, kExamples * shape.labels);
  EXPECT_EQ(whole.correct, correct);
  EXPECT_NEAR(whole.loss(), loss, 1e-5);
  EXPECT_TRUE(std::equal(reference->values().begin(), reference->values().end(), model->values().begin()));
}

TEST(Evaluator, BatchesAddUpToTheWholeBitForBit) {
  const auto examples = std::make_shared<Examples>(shape_for("mlp"), 2 * Evaluator::kBatch + 17);
  const auto model = make("mlp");
  Evaluator evaluator(*model, examples);
  ASSERT_EQ(evaluator.batches(), 3);
  const Evaluation whole = evaluator.evaluate();
  const auto replica = make("mlp", "5");
  Evaluator other(*replica, examples);
  other.load(model->values());
  Evaluation sum = evaluator.evaluate_batch(0);
  sum += other.evaluate_batch(1);
  sum += evaluator.evaluate_batch(2);
  EXPECT_EQ(sum.loss_sum, whole.loss_sum);
  EXPECT_EQ(sum.correct, whole.correct);
  EXPECT_EQ(sum.count, examples->size());
}

TEST(Evaluator, LeavesTheModelReadyToTrain) {
  const auto examples = std::make_shared<Examples>(shape_for("resnet18"), 4);
  const auto used = make("resnet18");
  const auto fresh = make("resnet18");
  Evaluator(*used, examples).evaluate(fresh->values());
  EXPECT_TRUE(std::equal(used->values().begin(), used->values().end(), fresh->values().begin()));
  EXPECT_EQ(testing::step(*used, examples->batch(), 0.1F), testing::step(*fresh, examples->batch(), 0.1F));
  EXPECT_TRUE(std::equal(used->values().begin(), used->values().end(), fresh->values().begin()));
}

TEST(Evaluator, RefusesValuesOfAnotherModel) {
  const auto model = make("mlp");
  const std::vector<float> values(10);
  EXPECT_THROW(Evaluator(*model, std::make_shared<Examples>(shape_for("mlp"), 4)).evaluate(values),
               std::logic_error);
}

// A diverged model is never right.
TEST(Evaluator, NothingIsCorrectBesideNotANumber) {
  const auto examples = std::make_shared<Examples>(shape_for("logistic"), 50);
  const auto model = make("logistic");
  Evaluator evaluator(*model, examples);
  ASSERT_GT(evaluator.evaluate().correct, 0);
  std::ranges::fill(model->values(), std::numeric_limits<float>::quiet_NaN());
  const Evaluation outcome = evaluator.evaluate();
  EXPECT_EQ(outcome.correct, 0);
  EXPECT_TRUE(std::isnan(outcome.loss()));
}

}  // namespace
}  // namespace gossamer
