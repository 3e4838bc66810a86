#pragma once

#include <map>
#include <memory>

#include "client/evaluator.h"
#include "core/layout.h"
#include "simulation/trainer_pool.h"

namespace gossamer {

// Test accuracy and loss, on all threads of a pool; the sums do not depend on their number. Used by the
// thread that owns the pool, which outlives it.
class PoolEvaluator {
 public:
  PoolEvaluator(TrainerPool& pool, const std::shared_ptr<const ExampleSet>& test);
  Evaluation evaluate(const Parameters& model);

 private:
  TrainerPool& pool_;
  std::map<const Client*, Evaluator> evaluators_;  // one a trainer thread, on its replica
};

}  // namespace gossamer
