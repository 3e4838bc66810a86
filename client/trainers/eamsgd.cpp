// EAMSGD (elastic.h): EASGD whose clients have Nesterov's momentum delta, v <- delta v - lr g(x + delta v),
// x <- x + v, and keep v from one exchange to the next.
#include "client/trainers/elastic.h"
#include "client/trainers/methods.h"
#include "client/trainers/vectors.h"

namespace gossamer {
namespace {

class MomentumElasticTrainer final : public ElasticTrainer {
 public:
  MomentumElasticTrainer(const Options& options, std::unique_ptr<Model> model)
      : MomentumElasticTrainer(options, model, model->layout()->parameter_count()) {}

 private:
  MomentumElasticTrainer(const Options& options, std::unique_ptr<Model>& model, std::size_t trained)
      : ElasticTrainer(options, std::move(model), "eamsgd", {trained}),
        momentum_(static_cast<float>(options.real("algorithm.eamsgd.momentum"))),
        lr_(static_cast<float>(options.real("client.lr"))) {}

  // With y = x + delta v, where the gradient is taken: x + (delta v - lr g) = y - lr g.
  void step(TrainingState& state) override {
    const std::span<float> velocity = state[1];
    add_scaled(work_.weights().first(velocity.size()), momentum_, velocity);
    work_.gradient_step([&](std::span<float> w, std::span<const float> gradient, std::size_t offset) {
      momentum_step(w, velocity.subspan(offset, w.size()), gradient, momentum_, lr_);
    });
  }

  float momentum_, lr_;
};

class Eamsgd final : public Algorithm {
 public:
  void preset(Options& options) const override { preset_elastic(options, "eamsgd"); }
  bool keeps_client_state() const override { return true; }
  bool exchanges_on_request() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<MomentumElasticTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_eamsgd(const Options&) { return std::make_unique<Eamsgd>(); }

}  // namespace gossamer
