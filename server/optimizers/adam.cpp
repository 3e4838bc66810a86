// FedAdam: v = beta2 v + (1 - beta2) u^2.
#include "server/optimizers/adaptive.h"

namespace gossamer {

std::unique_ptr<ServerOptimizer> make_server_adam(const Options& options) {
  const double beta2 = options.real("server.adam.beta2");
  const auto decay = static_cast<float>(beta2);
  const auto second_moment = [decay](float v, float squared) { return decay * v + (1 - decay) * squared; };
  return std::make_unique<AdaptiveOptimizer<decltype(second_moment)>>(
      options, "adam", second_moment, options.flag("server.adam.bias_correction") ? beta2 : 0);
}

}  // namespace gossamer
