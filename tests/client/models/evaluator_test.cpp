#include "client/evaluator.h"

#include <gtest/gtest.h>

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
  const Examples examples(shape, 11);
  const auto reference = make(GetParam(), "3");
  reference->set_training(false);
  const at::Tensor logits = reference->forward(examples.batch().features).detach();
  const double loss = reference->loss(logits, examples.batch().labels).item<double>();
  const auto correct = (logits.argmax(1) == examples.batch().labels).sum().item<std::int64_t>();

  const auto model = make(GetParam(), "4");
  Evaluator evaluator(*model);
  for (std::int64_t batch : {4, 11, 256}) {
    const Evaluation whole = evaluator.evaluate(reference->values(), examples, 0, examples.size(), batch);
    EXPECT_EQ(whole.count, 11 * shape.labels);
    EXPECT_EQ(whole.correct, correct);
    EXPECT_NEAR(whole.loss(), loss, 1e-5);
  }
  EXPECT_TRUE(std::equal(reference->values().begin(), reference->values().end(), model->values().begin()));
}

TEST(Evaluator, PartsAddUpToTheWholeBitForBit) {
  const Examples examples(shape_for("mlp"), 50);
  const auto model = make("mlp");
  Evaluator evaluator(*model);
  const auto part = [&](std::int64_t begin, std::int64_t end) {
    return evaluator.evaluate(model->values(), examples, begin, end, 10);
  };
  const Evaluation whole = part(0, 50);
  Evaluation sum;
  for (std::int64_t begin = 0; begin < 50; begin += 10) sum += part(begin, begin + 10);
  EXPECT_EQ(sum.loss_sum, whole.loss_sum);
  EXPECT_EQ(sum.correct, whole.correct);
  EXPECT_EQ(sum.count, whole.count);
  EXPECT_EQ(part(7, 7).count, 0);
}

TEST(Evaluator, LeavesTheModelReadyToTrain) {
  const ExampleShape shape = shape_for("resnet18");
  const Examples examples(shape, 4);
  const auto used = make("resnet18");
  const auto fresh = make("resnet18");
  Evaluator(*used).evaluate(fresh->values(), examples, 0, 4, 2);
  EXPECT_TRUE(std::equal(used->values().begin(), used->values().end(), fresh->values().begin()));
  EXPECT_EQ(testing::step(*used, examples.batch(), 0.1F), testing::step(*fresh, examples.batch(), 0.1F));
  EXPECT_TRUE(std::equal(used->values().begin(), used->values().end(), fresh->values().begin()));
}

TEST(Evaluator, RefusesValuesOfAnotherModel) {
  const Examples examples(shape_for("mlp"), 4);
  const auto model = make("mlp");
  const std::vector<float> values(10);
  EXPECT_THROW(Evaluator(*model).evaluate(values, examples, 0, 4), std::logic_error);
}

}  // namespace
}  // namespace gossamer
