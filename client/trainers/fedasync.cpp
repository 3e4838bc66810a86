// FedAsync (Xie, Koyejo, Gupta: "Asynchronous federated optimization", 2019): FedAvg's local work; the server
// mixes each client's model into its own as it comes in, the less the staler it is.
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

class FedAsync final : public Algorithm {
 public:
  void preset(Options& options) const override {
    options.preset("sync.mode", "async", "fedasync");
    options.preset("sync.correction", "mixing", "fedasync");
    options.set_default("sync.staleness_weight", "polynomial");
    options.preset("server.optimizer", "sgd", "fedasync");
    options.preset("server.lr", "1", "fedasync");
  }
  bool trains_on_device() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return make_averaging_trainer(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_fedasync(const Options&) { return std::make_unique<FedAsync>(); }

}  // namespace gossamer
