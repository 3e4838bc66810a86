// McMahan, Moore, Ramage, Hampson, Aguera y Arcas: "Communication-efficient learning of deep networks from
// decentralized data", AISTATS 2017. A client starts from the global model, makes client.local_epochs passes
// over its examples in batches of client.batch_size, and returns the difference, weighted by its examples.
#include <algorithm>

#include "client/device.h"
#include "client/trainers/device_trainer.h"
#include "client/trainers/local_work.h"
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

class AveragingTrainer final : public LocalTrainer {
 public:
  AveragingTrainer(const Options& options, std::unique_ptr<Model> model) : work_(options, std::move(model)) {}

  Update train(std::span<const float> global, const TrainTask& task) override {
    std::ranges::copy(global, work_.weights().begin());
    work_.begin(task);
    for (std::int64_t left = work_.steps(); left > 0; --left) work_.step();
    return difference_update(work_, global);
  }

 private:
  LocalWork work_;
};

class FedAvg final : public Algorithm {
 public:
  bool trains_on_device() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return make_averaging_trainer(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<LocalTrainer> make_averaging_trainer(const Options& options, std::unique_ptr<Model> model) {
  const at::Device device = device_of(options);
  if (!device.is_cpu()) return make_device_trainer(options, std::move(model), device);
  return std::make_unique<AveragingTrainer>(options, std::move(model));
}

std::unique_ptr<Algorithm> make_fedavg(const Options&) { return std::make_unique<FedAvg>(); }

}  // namespace gossamer
