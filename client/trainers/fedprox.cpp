// Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: "Federated optimization in heterogeneous networks", MLSys
// 2020. FedAvg whose clients minimise F_k(w) + mu/2 |w - w_t|^2, and where the partial work of stragglers is
// kept.
#include <algorithm>

#include "client/trainers/local_work.h"
#include "client/trainers/methods.h"
#include "core/straggler.h"

namespace gossamer {
namespace {

class ProximalTrainer final : public LocalTrainer {
 public:
  ProximalTrainer(const Options& options, std::unique_ptr<Model> model)
      : work_(options, std::move(model)),
        mu_(static_cast<float>(options.real("algorithm.fedprox.mu"))),
        seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
        straggler_fraction_(
            options.real("devices.straggler_slowdown") > 1 ? 0 : options.real("devices.straggler_fraction")) {
  }

  Update train(std::span<const float> global, const TrainTask& task) override {
    std::ranges::copy(global, work_.weights().begin());
    work_.begin(task);
    const bool straggles = is_straggler(seed_, straggler_fraction_, task.client, task.round);
    for (std::int64_t left = straggles ? work_.straggler_steps() : work_.steps(); left > 0; --left) {
      work_.step(mu_, global);
    }
    return difference_update(work_, global);
  }

 private:
  LocalWork work_;
  float mu_;
  std::uint64_t seed_;
  double straggler_fraction_;
};

class FedProx final : public Algorithm {
 public:
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<ProximalTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedprox(const Options&) { return std::make_unique<FedProx>(); }

}  // namespace gossamer
