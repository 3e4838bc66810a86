#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "client/datasets/dataset.h"
#include "core/evaluator.h"
#include "core/model.h"

namespace gossamer {

// Tests a model on examples, in a replica and with batch buffers that are reused from call to call. Not
// thread-safe: one a thread, which may share the replica with the thread's trainer.
class Evaluator {
 public:
  explicit Evaluator(Model& model) : model_(model) {}

  // Copies `values` (layout().size() floats) into the model, unless they are the model's own values(), and
  // evaluates examples [begin, end) in batches of `batch` from `begin` on. The sums depend on `begin`, `end`
  // and `batch` but on no thread; to split a test set among threads without changing its result, split it
  // into the same ranges always and add these up in order. Leaves the model in training mode.
  Evaluation evaluate(std::span<const float> values, const ExampleSet& examples, std::int64_t begin,
                      std::int64_t end, std::int64_t batch = kDefaultBatch);

  // 256 images of 28x28 as floats are 800 kB, which a core's cache holds.
  static constexpr std::int64_t kDefaultBatch = 256;

 private:
  Model& model_;
  at::Tensor features_, labels_;
  std::vector<std::int64_t> indices_;
};

}  // namespace gossamer
