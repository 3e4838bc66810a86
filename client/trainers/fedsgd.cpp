// FedSGD (McMahan et al., AISTATS 2017): each client's update is one gradient step on all of its examples.
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

class FedSgd final : public Algorithm {
 public:
  void preset(Options& options) const override {
    options.preset("client.local_epochs", "1", "fedsgd");
    options.preset("client.local_steps", "0", "fedsgd");
    options.preset("client.batch_size", "0", "fedsgd");
  }
  bool trains_on_device() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return make_averaging_trainer(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedsgd(const Options&) { return std::make_unique<FedSgd>(); }

}  // namespace gossamer
