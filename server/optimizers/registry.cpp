#include "server/optimizers/methods.h"

namespace gossamer {
namespace {

constexpr const char* kReddi = "Reddi et al., Adaptive federated optimization, 2020";

// Defaults are those of the paper's experiments: beta1 0.9, beta2 0.99, tau 1e-3.
std::vector<OptionSpec> adaptive_keys(const std::string& name, bool has_beta2) {
  const std::string prefix = "server." + name + ".";
  std::vector<OptionSpec> keys{
      real_option(prefix + "beta1", 0.9, "decay of the first moment").at_least(0).at_most(1),
      real_option(prefix + "tau", 1e-3, "added to the root of the second moment").above(0),
      real_option(prefix + "initial", 0,
                  "second moment before the first round (the paper asks for tau^2 or more)")
          .at_least(0),
  };
  if (has_beta2) {
    keys.push_back(real_option(prefix + "beta2", 0.99, "decay of the second moment").at_least(0).at_most(1));
    keys.push_back(
        flag_option(prefix + "bias_correction", false, "divide the moments by 1 - beta^round, as Adam does"));
  }
  return keys;
}

}  // namespace

const Registry<ServerOptimizer>& server_optimizers() {
  static const Registry<ServerOptimizer> table{
      "server_optimizers",
      "server.optimizer",
      "sgd",
      "how the server applies the mean update",
      {
          {{"sgd", "model += lr * mean update; lr = 1 is FedAvg", "McMahan et al. 2017", {}},
           make_server_sgd},
          {{"momentum",
            "FedAvgM: heavy-ball or Nesterov momentum on the mean update",
            "Hsu, Qi, Brown, Measuring the effects of non-identical data distribution, 2019",
            {real_option("server.momentum.beta", 0.9, "decay of the velocity").at_least(0).at_most(1),
             flag_option("server.momentum.nesterov", false, "look ahead along the velocity")}},
           make_server_momentum},
          {{"adam", "FedAdam", kReddi, adaptive_keys("adam", true)}, make_server_adam},
          {{"yogi", "FedYogi", kReddi, adaptive_keys("yogi", true)}, make_server_yogi},
          {{"adagrad", "FedAdagrad", kReddi, adaptive_keys("adagrad", false)}, make_server_adagrad},
      }};
  return table;
}

}  // namespace gossamer
