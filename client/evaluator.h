#pragma once

#include <memory>
#include <span>
#include <vector>

#include "client/datasets/dataset.h"
#include "client/models/models.h"
#include "core/evaluator.h"

namespace gossamer {

// Accuracy and loss of a model on labelled examples, in batches of fixed bounds: batch i is the examples
// [i * kBatch, (i + 1) * kBatch), so parts that are evaluated on different threads and added up in the order
// of their batches give the same sums as one pass. Uses the replica it was given, which it leaves in training
// mode; one thread at a time.
class Evaluator {
 public:
  // 100 images of 28x28 as floats are 314 kB, which a core's second-level cache holds.
  static constexpr std::int64_t kBatch = 100;

  // `model` outlives the evaluator.
  Evaluator(Model& model, std::shared_ptr<const ExampleSet> examples);

  std::int64_t batches() const { return (examples_->size() + kBatch - 1) / kBatch; }
  // The replica takes these values over, for the calls of evaluate_batch() that follow.
  void load(std::span<const float> values);
  Evaluation evaluate_batch(std::int64_t batch);

  // All batches, with these values or with those that the replica has.
  Evaluation evaluate(std::span<const float> values);
  Evaluation evaluate();

 private:
  Model& model_;
  std::shared_ptr<const ExampleSet> examples_;
  std::vector<std::int64_t> indices_;
  at::Tensor features_, labels_;
};

}  // namespace gossamer
