// FedAvgM (Hsu et al. 2019): v = beta v + update; model += lr v, or lr (update + beta v) with Nesterov.
#include "server/optimizers/methods.h"

namespace gossamer {
namespace {

class Momentum final : public ServerOptimizer {
 public:
  explicit Momentum(const Options& options)
      : lr_(static_cast<float>(options.real("server.lr"))),
        beta_(static_cast<float>(options.real("server.momentum.beta"))),
        nesterov_(options.flag("server.momentum.nesterov")) {}

  void step(std::span<float> model, std::span<const float> pseudo_gradient) override {
    if (state_.empty()) state_.emplace_back(model.size(), 0.0F);
    FloatBuffer& velocity = state_[0];
    for (std::size_t i = 0; i < model.size(); ++i) {
      velocity[i] = beta_ * velocity[i] + pseudo_gradient[i];
      model[i] += lr_ * (nesterov_ ? pseudo_gradient[i] + beta_ * velocity[i] : velocity[i]);
    }
  }
  bool is_elementwise() const noexcept override { return true; }
  std::vector<FloatBuffer>& state() override { return state_; }

 private:
  float lr_, beta_;
  bool nesterov_;
  std::vector<FloatBuffer> state_;
};

}  // namespace

std::unique_ptr<ServerOptimizer> make_server_momentum(const Options& options) {
  return std::make_unique<Momentum>(options);
}

}  // namespace gossamer
