// Local SGD (Stich: "Local SGD converges fast and communicates little", ICLR 2019): every worker makes
// client.local_steps steps, then the models are averaged, each with the same weight.
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

class LocalSgd final : public Algorithm {
 public:
  void preset(Options& options) const override {
    preset_whole_cohort(options, "local_sgd");
    preset_local_steps(options, "local_sgd");
    options.preset("server.weighting", "uniform", "local_sgd");
  }
  bool trains_on_device() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return make_averaging_trainer(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_local_sgd(const Options&) { return std::make_unique<LocalSgd>(); }

}  // namespace gossamer
