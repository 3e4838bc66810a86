// FedAdagrad: v = v + u^2.
#include "server/optimizers/adaptive.h"

namespace gossamer {

std::unique_ptr<ServerOptimizer> make_server_adagrad(const Options& options) {
  const auto second_moment = [](float v, float squared) { return v + squared; };
  return std::make_unique<AdaptiveOptimizer<decltype(second_moment)>>(options, "adagrad", second_moment, 0.0);
}

}  // namespace gossamer
