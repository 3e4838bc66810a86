#include "client/evaluator.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>
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
    correct += std::max_element(row, row + classes) - row == label[i] ? 1 : 0;
  }
  return correct;
}

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

Evaluation Evaluator::evaluate(std::span<const float> values, const ExampleSet& examples, std::int64_t begin,
                               std::int64_t end, std::int64_t batch) {
  const std::span<float> own = model_.values();
  if (values.size() != own.size()) throw std::logic_error("evaluate: values do not fit the model");
  if (values.data() != own.data()) std::memcpy(own.data(), values.data(), values.size_bytes());

  const ExampleShape& shape = examples.shape();
  const bool tokens = shape.kind == FeatureKind::tokens;
  std::vector<std::int64_t> extents{batch};
  extents.insert(extents.end(), shape.features.begin(), shape.features.end());
  if (!features_.defined() || features_.sizes() != at::IntArrayRef(extents) ||
      features_.scalar_type() != (tokens ? at::kLong : at::kFloat)) {
    features_ = at::empty(extents, tokens ? at::kLong : at::kFloat);
  }
  if (!labels_.defined() || labels_.numel() != batch * shape.labels) {
    labels_ = at::empty({batch * shape.labels}, at::kLong);
  }

  const c10::InferenceMode inference;
  const EvaluationMode evaluation_mode(model_);
  Evaluation sum;
  for (std::int64_t first = begin; first < end; first += batch) {
    const std::int64_t n = std::min(batch, end - first);
    indices_.resize(static_cast<std::size_t>(n));
    std::iota(indices_.begin(), indices_.end(), first);
    if (tokens) {
      examples.gather(indices_, features_.data_ptr<std::int64_t>(), labels_.data_ptr<std::int64_t>());
    } else {
      examples.gather(indices_, features_.data_ptr<float>(), labels_.data_ptr<std::int64_t>());
    }
    const at::Tensor labels = labels_.narrow(0, 0, n * shape.labels);
    const at::Tensor logits = model_.forward(features_.narrow(0, 0, n));
    const std::int64_t count = n * shape.labels;
    sum += {model_.loss(logits, labels).item<double>() * static_cast<double>(count),
            count_correct(logits, labels), count};
  }
  return sum;
}

}  // namespace gossamer
