// model += lr * mean update. With lr = 1 this is FedAvg's averaging.
#include "server/optimizers/methods.h"

namespace gossamer {
namespace {

class Sgd final : public ServerOptimizer {
 public:
  explicit Sgd(float lr) : lr_(lr) {}
  void step(std::span<float> model, std::span<const float> pseudo_gradient) override {
    for (std::size_t i = 0; i < model.size(); ++i) model[i] += lr_ * pseudo_gradient[i];
  }
  bool is_elementwise() const noexcept override { return true; }
  std::vector<FloatBuffer>& state() override { return none_; }

 private:
  float lr_;
  std::vector<FloatBuffer> none_;
};

}  // namespace

std::unique_ptr<ServerOptimizer> make_server_sgd(const Options& options) {
  return std::make_unique<Sgd>(static_cast<float>(options.real("server.lr")));
}

}  // namespace gossamer
