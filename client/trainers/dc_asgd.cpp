// DC-ASGD (Zheng, Meng, Wang, Chen, Yu, Ma, Liu: "Asynchronous stochastic gradient descent with delay
// compensation", ICML 2017): one plain step of local work, whose gradient the server takes to where the model
// is by then.
#include "client/trainers/methods.h"

namespace gossamer {
namespace {

class DcAsgd final : public Algorithm {
 public:
  void preset(Options& options) const override {
    options.preset("sync.mode", "async", "dc_asgd");
    options.preset("sync.correction", "delay_compensation", "dc_asgd");
    options.preset("sync.staleness_weight", "constant", "dc_asgd");
    preset_plain_steps(options, "dc_asgd");
    preset_plain_sum(options, "dc_asgd");
    options.preset("client.local_steps", "1", "dc_asgd");
  }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return make_downpour(options)->make_trainer(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_dc_asgd(const Options&) { return std::make_unique<DcAsgd>(); }

}  // namespace gossamer
