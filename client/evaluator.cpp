#include "client/evaluator.h"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace gossamer {
namespace {

std::int64_t count_correct(const at::Tensor& logits, const at::Tensor& labels) {
  const at::Tensor rows = logits.contiguous();
  const std::int64_t n = rows.size(0), classes = rows.size(1);
  const float* row = rows.data_ptr<float>();
  const std::int64_t* label = labels.data_ptr<std::int64_t>();
  std::int64_t correct = 0;
  for (std::int64_t i = 0; i < n; ++i, row += classes) {
    // As argmax() would say, the first of equals, without its branches. Beside a NaN nothing is correct.
    const float own = row[label[i]];
    std::int64_t better = 0;
    for (std::int64_t j = 0; j < label[i]; ++j) better += row[j] < own ? 0 : 1;
    for (std::int64_t j = label[i] + 1; j < classes; ++j) better += row[j] <= own ? 0 : 1;
    correct += better == 0 && own == own ? 1 : 0;
  }
  return correct;
}

// Back to training even where a data set throws.
class EvaluationMode {
 public:
  explicit EvaluationMode(Model& model) : model_(model) { model_.set_training(false); }
  ~EvaluationMode() { model_.set_training(true); }
  EvaluationMode(const EvaluationMode&) = delete;
  EvaluationMode& operator=(const EvaluationMode&) = delete;

 private:
  Model& model_;
};

}  // namespace

Evaluator::Evaluator(Model& model, std::shared_ptr<const ExampleSet> examples)
    : model_(model), examples_(std::move(examples)), indices_(kBatch) {
  const ExampleShape& shape = examples_->shape();
  std::vector<std::int64_t> extents{kBatch};
  extents.insert(extents.end(), shape.features.begin(), shape.features.end());
  features_ = at::empty(extents, shape.kind == FeatureKind::tokens ? at::kLong : at::kFloat);
  labels_ = at::empty({kBatch * shape.labels}, at::kLong);
}

void Evaluator::load(std::span<const float> values) {
  if (values.size() != model_.values().size())
    throw std::logic_error("evaluate: values do not fit the model");
  std::ranges::copy(values, model_.values().begin());
}

Evaluation Evaluator::evaluate_batch(std::int64_t batch) {
  const c10::InferenceMode inference;
  const std::int64_t begin = batch * kBatch;
  const std::int64_t count = std::min(kBatch, examples_->size() - begin);
  std::iota(indices_.begin(), indices_.end(), begin);
  const std::span<const std::int64_t> indices(indices_.data(), static_cast<std::size_t>(count));
  if (examples_->shape().kind == FeatureKind::tokens) {
    examples_->gather(indices, features_.data_ptr<std::int64_t>(), labels_.data_ptr<std::int64_t>());
  } else {
    examples_->gather(indices, features_.data_ptr<float>(), labels_.data_ptr<std::int64_t>());
  }
  const EvaluationMode evaluation_mode(model_);
  const at::Tensor labels = labels_.narrow(0, 0, count * examples_->shape().labels);
  const at::Tensor logits = model_.forward(features_.narrow(0, 0, count));
  const double loss = model_.loss(logits, labels).item<double>();
  return {loss * static_cast<double>(labels.numel()), count_correct(logits, labels), labels.numel()};
}

Evaluation Evaluator::evaluate(std::span<const float> values) {
  load(values);
  return evaluate();
}

Evaluation Evaluator::evaluate() {
  Evaluation sum;
  for (std::int64_t batch = 0; batch < batches(); ++batch) sum += evaluate_batch(batch);
  return sum;
}

}  // namespace gossamer
