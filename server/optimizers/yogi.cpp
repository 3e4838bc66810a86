// FedYogi: v = v - (1 - beta2) u^2 sign(v - u^2).
#include "server/optimizers/adaptive.h"

namespace gossamer {

std::unique_ptr<ServerOptimizer> make_server_yogi(const Options& options) {
  const double beta2 = options.real("server.yogi.beta2");
  const auto gain = static_cast<float>(1 - beta2);
  const auto second_moment = [gain](float v, float squared) {
    const float sign = v > squared ? 1.0F : (v < squared ? -1.0F : 0.0F);
    return v - gain * squared * sign;
  };
  return std::make_unique<AdaptiveOptimizer<decltype(second_moment)>>(
      options, "yogi", second_moment, options.flag("server.yogi.bias_correction") ? beta2 : 0);
}

}  // namespace gossamer
