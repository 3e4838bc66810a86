// FedBuff (Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba: "Federated learning with buffered
// asynchronous aggregation", AISTATS 2022): FedAvg's local work; the mean of every K updates, each weighted
// by (1 + staleness)^-1/2, makes a new model.
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

class FedBuff final : public Algorithm {
 public:
  void preset(Options& options) const override {
    options.preset("sync.mode", "buffered", "fedbuff");
    options.preset("sync.correction", "none", "fedbuff");
    options.set_default("sync.staleness_weight", "polynomial");
  }
  bool trains_on_device() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return make_averaging_trainer(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedbuff(const Options&) { return std::make_unique<FedBuff>(); }

}  // namespace gossamer
