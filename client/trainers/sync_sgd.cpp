// Synchronous data-parallel SGD: every step of every peer uses the mean gradient over the batches of all, so
// p peers with batches of b are one process with batches of p * b. Gradients are summed in buckets during the
// backward pass (Li et al.: "PyTorch Distributed: experiences on accelerating data parallel training", VLDB
// 2020); factors of dense layers travel instead where these are short (factor_rule.h).
#include <algorithm>
#include <stdexcept>

#include "client/trainers/local_work.h"
#include "client/trainers/methods.h"
#include "core/checksum.h"
#include "core/error.h"

namespace gossamer {
namespace {

class SyncSgdTrainer final : public LocalTrainer {
 public:
  SyncSgdTrainer(const Options& options, std::unique_ptr<Model> model)
      : work_(options, std::move(model)), steps_(options.integer("client.local_steps")) {}

  Update train(std::span<const float> global, const TrainTask& task) override {
    if (task.exchange == nullptr) throw std::logic_error("sync_sgd needs the peers' exchange");
    std::ranges::copy(global, work_.weights().begin());
    work_.begin(task);
    // How many examples stand behind each step, here and elsewhere: batches at the end of an epoch are
    // smaller.
    std::vector<float> examples = work_.batch_sizes(steps_);
    check_equal_weights(*task.exchange, examples);
    work_.common_steps(*task.exchange, examples);
    average_statistics(*task.exchange);
    return difference_update(work_, global);
  }

 private:
  // Sums them over the peers, and beside them a mark of the weights: where each peer makes the products of
  // all, they stay the same on machines of one kind only.
  void check_equal_weights(GradientExchange& exchange, std::vector<float>& examples) {
    const auto peers = static_cast<std::uint64_t>(exchange.world_size());
    const auto mark = static_cast<float>(checksum_of(std::as_bytes(work_.weights())) % (kExact / peers));
    examples.push_back(mark);
    exchange.sum(examples);
    const float all = examples.back();
    examples.pop_back();
    if (all != mark * static_cast<float>(peers))
      throw RunError(
          "the peers' models have come to differ: their machines multiply differently; "
          "set algorithm.sync_sgd.factors = never");
  }

  void average_statistics(GradientExchange& exchange) {
    const std::span<float> statistics = work_.weights().subspan(work_.model().layout()->parameter_count());
    if (statistics.empty()) return;
    exchange.sum(statistics);
    const auto peers = static_cast<float>(exchange.world_size());
    for (float& value : statistics) value /= peers;
  }

  static constexpr std::uint64_t kExact = std::uint64_t{1}
                                          << 24U;  // integers up to it are floats, and add up

  LocalWork work_;
  std::int64_t steps_;
};

class SyncSgd final : public Algorithm {
 public:
  void preset(Options& options) const override {
    preset_whole_cohort(options, "sync_sgd");
    preset_local_steps(options, "sync_sgd");
    // Gradients travel as they are in every step; nothing is left for what acts on a round's update.
    for (const char* key : {"compression.up", "compression.down"}) options.preset(key, "none", "sync_sgd");
  }
  bool exchanges_gradients() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<SyncSgdTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_sync_sgd(const Options&) { return std::make_unique<SyncSgd>(); }

}  // namespace gossamer
