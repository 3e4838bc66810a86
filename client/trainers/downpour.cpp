// DOWNPOUR (Dean, Corrado, Monga, Chen, Devin, Le, Mao, Ranzato, Senior, Tucker, Yang, Ng: "Large scale
// distributed deep networks", NeurIPS 2012): a worker fetches the model, makes client.local_steps plain
// steps, and pushes the sum of the -lr g that it made them with; the server adds it on arrival. (n_fetch =
// n_push = client.local_steps.) What travels are the steps themselves, not a difference of weights, so that
// one worker with one local step is sequential SGD, bit for bit.
#include <algorithm>

#include "client/trainers/local_work.h"
#include "client/trainers/methods.h"
#include "client/trainers/vectors.h"

namespace gossamer {
namespace {

class DownpourTrainer final : public LocalTrainer {
 public:
  DownpourTrainer(const Options& options, std::unique_ptr<Model> model)
      : work_(options, std::move(model)), lr_(static_cast<float>(options.real("client.lr"))) {}

  Update train(std::span<const float> global, const TrainTask& task) override {
    std::ranges::copy(global, work_.weights().begin());
    work_.begin(task);
    Update update{{{}, FloatBuffer(global.size(), 0.0F)}};
    for (std::int64_t left = work_.steps(); left > 0; --left) {
      work_.gradient_step([&](std::span<float> w, std::span<const float> gradient, std::size_t offset) {
        const std::span<float> sum = std::span<float>(update.values).subspan(offset, w.size());
        add_scaled(sum, -lr_, gradient);
        add_scaled(w, -lr_, gradient);
      });
    }
    // Batch-norm statistics have no gradient: they travel as differences.
    const std::size_t trained = work_.model().layout()->parameter_count();
    subtract(work_.weights().subspan(trained), global.subspan(trained),
             std::span<float>(update.values).subspan(trained));
    update.info = work_.info();
    return update;
  }

 private:
  LocalWork work_;
  float lr_;
};

class Downpour final : public Algorithm {
 public:
  void preset(Options& options) const override {
    options.preset("sync.mode", "async", "downpour");
    options.preset("sync.correction", "none", "downpour");
    preset_plain_steps(options, "downpour");
    preset_local_steps(options, "downpour");
  }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<DownpourTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_downpour(const Options&) { return std::make_unique<Downpour>(); }

}  // namespace gossamer
