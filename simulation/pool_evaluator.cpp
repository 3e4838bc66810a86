#include "simulation/pool_evaluator.h"

#include <atomic>
#include <future>
#include <vector>

namespace gossamer {

PoolEvaluator::PoolEvaluator(TrainerPool& pool, const std::shared_ptr<const ExampleSet>& test) : pool_(pool) {
  for (const auto& client : pool.clients()) evaluators_.try_emplace(client.get(), client->model(), test);
}

Evaluation PoolEvaluator::evaluate(const Parameters& model) {
  // The threads take batches as they get to them; the sums are added batch by batch.
  const std::int64_t batches = evaluators_.begin()->second.batches();
  std::vector<Evaluation> parts(static_cast<std::size_t>(batches));
  std::atomic<std::int64_t> next = 0;
  std::vector<std::future<void>> done;
  for (int i = 0; i < pool_.threads(); ++i) {
    done.push_back(pool_.submit([&](Client& client) {
      Evaluator& evaluator = evaluators_.at(&client);
      std::int64_t batch = next++;
      if (batch < batches) evaluator.load(model.values);
      for (; batch < batches; batch = next++)
        parts[static_cast<std::size_t>(batch)] = evaluator.evaluate_batch(batch);
    }));
  }
  for (std::future<void>& part : done) part.get();
  Evaluation sum;
  for (const Evaluation& part : parts) sum += part;
  return sum;
}

}  // namespace gossamer
