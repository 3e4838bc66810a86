// RMSprop (Hinton, Srivastava, Swersky, 2012), as torch.optim has it: the epsilon lies outside of the root.
#include <algorithm>
#include <cmath>

#include "client/optimizers/methods.h"
#include "core/buffers.h"
#include "core/simd.h"

namespace gossamer {
namespace {

struct Rates {
  float lr, weight_decay, alpha, gain, epsilon;  // gain = 1 - alpha
};

GOSSAMER_MULTIVERSION
void step_rmsprop(float* __restrict w, const float* __restrict g, float* __restrict square, std::size_t n,
                  Rates rate) {
  for (std::size_t i = 0; i < n; ++i) {
    const float decayed = g[i] + rate.weight_decay * w[i];
    square[i] = rate.alpha * square[i] + rate.gain * decayed * decayed;
    w[i] -= rate.lr * decayed / (std::sqrt(square[i]) + rate.epsilon);
  }
}

class RmsProp final : public ClientOptimizer {
 public:
  RmsProp(Rates rates, std::size_t parameter_count) : rates_(rates), square_(parameter_count) {}

  void reset() override { std::ranges::fill(square_, 0.0F); }
  void step(std::span<float> w, std::span<const float> g, std::size_t offset) override {
    step_rmsprop(w.data(), g.data(), square_.data() + offset, w.size(), rates_);
  }

 private:
  Rates rates_;
  FloatBuffer square_;
};

}  // namespace

std::unique_ptr<ClientOptimizer> make_rmsprop(const Options& options, std::size_t parameter_count) {
  return std::make_unique<RmsProp>(Rates{static_cast<float>(options.real("client.lr")),
                                         static_cast<float>(options.real("client.weight_decay")),
                                         static_cast<float>(options.real("client.rmsprop.alpha")),
                                         static_cast<float>(1 - options.real("client.rmsprop.alpha")),
                                         static_cast<float>(options.real("client.rmsprop.epsilon"))},
                                   parameter_count);
}

}  // namespace gossamer
