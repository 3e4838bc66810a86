// EAMSGD in its synchronous form (elastic.h): EASGD whose clients have Nesterov's momentum delta,
// v <- delta v - lr g(x + delta v), x <- x + v, and keep v between rounds.
#include <algorithm>

#include "client/trainers/elastic.h"
#include "client/trainers/local_work.h"
#include "client/trainers/methods.h"
#include "client/trainers/vectors.h"

namespace gossamer {
namespace {

class ElasticMomentumTrainer final : public LocalTrainer {
 public:
  ElasticMomentumTrainer(const Options& options, std::unique_ptr<Model> model)
      : work_(options, std::move(model)),
        alpha_(static_cast<float>(elastic_alpha(options, "eamsgd"))),
        momentum_(static_cast<float>(options.real("algorithm.eamsgd.momentum"))),
        lr_(static_cast<float>(options.real("client.lr"))) {}

  Update train(std::span<const float> centre, const TrainTask& task) override {
    const std::size_t trained = work_.model().layout()->parameter_count();
    open_elastic_state(task, centre, {trained});
    FloatBuffer& own = task.state->at(0);
    const std::span<float> velocity = task.state->at(1);
    Update update{{}, FloatBuffer(centre.size())};
    subtract(own, centre, update.values);
    std::ranges::copy(own, work_.weights().begin());

    work_.begin(task);
    const std::int64_t steps = work_.steps();
    if (steps > 0) step(velocity);
    add_scaled(work_.weights(), -alpha_, update.values);
    for (std::int64_t done = 1; done < steps; ++done) step(velocity);

    std::ranges::copy(work_.weights(), own.begin());
    update.info = work_.info();
    return update;
  }

 private:
  // With y = x + delta v, where the gradient is taken: x + (delta v - lr g) = y - lr g.
  void step(std::span<float> velocity) {
    add_scaled(work_.weights().first(velocity.size()), momentum_, velocity);
    work_.gradient_step([&](std::span<float> w, std::span<const float> gradient, std::size_t offset) {
      momentum_step(w, velocity.subspan(offset, w.size()), gradient, momentum_, lr_);
    });
  }

  LocalWork work_;
  float alpha_, momentum_, lr_;
};

class Eamsgd final : public Algorithm {
 public:
  void preset(Options& options) const override { preset_elastic(options, "eamsgd"); }
  bool keeps_client_state() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<ElasticMomentumTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_eamsgd(const Options&) { return std::make_unique<Eamsgd>(); }

}  // namespace gossamer
