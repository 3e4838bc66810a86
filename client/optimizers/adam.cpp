// Kingma, Ba: "Adam: a method for stochastic optimization", ICLR 2015. Weight decay is added to the gradient.
#include <algorithm>
#include <cmath>

#include "client/optimizers/methods.h"
#include "core/buffers.h"
#include "core/simd.h"

namespace gossamer {
namespace {

struct Rates {
  float step, weight_decay, beta1, gain1, beta2, gain2, epsilon;  // gain = 1 - beta
  float root_correction;                                          // sqrt(1 - beta2^t)
};

GOSSAMER_MULTIVERSION
void step_adam(float* __restrict w, const float* __restrict g, float* __restrict m, float* __restrict v,
               std::size_t n, Rates rate) {
  for (std::size_t i = 0; i < n; ++i) {
    const float decayed = g[i] + rate.weight_decay * w[i];
    m[i] = rate.beta1 * m[i] + rate.gain1 * decayed;
    v[i] = rate.beta2 * v[i] + rate.gain2 * decayed * decayed;
    w[i] -= rate.step * m[i] / (std::sqrt(v[i]) / rate.root_correction + rate.epsilon);
  }
}

class Adam final : public ClientOptimizer {
 public:
  Adam(const Options& options, std::size_t parameter_count)
      : lr_(options.real("client.lr")),
        beta1_(options.real("client.adam.beta1")),
        beta2_(options.real("client.adam.beta2")),
        weight_decay_(options.real("client.weight_decay")),
        epsilon_(options.real("client.adam.epsilon")),
        mean_(parameter_count),
        square_(parameter_count) {}

  void reset() override {
    std::ranges::fill(mean_, 0.0F);
    std::ranges::fill(square_, 0.0F);
    beta1_power_ = beta2_power_ = 1;
  }

  void begin_step() override {
    beta1_power_ *= beta1_;
    beta2_power_ *= beta2_;
  }

  void step(std::span<float> w, std::span<const float> g, std::size_t offset) override {
    const Rates rates{.step = static_cast<float>(lr_ / (1 - beta1_power_)),
                      .weight_decay = static_cast<float>(weight_decay_),
                      .beta1 = static_cast<float>(beta1_),
                      .gain1 = static_cast<float>(1 - beta1_),
                      .beta2 = static_cast<float>(beta2_),
                      .gain2 = static_cast<float>(1 - beta2_),
                      .epsilon = static_cast<float>(epsilon_),
                      .root_correction = static_cast<float>(std::sqrt(1 - beta2_power_))};
    step_adam(w.data(), g.data(), mean_.data() + offset, square_.data() + offset, w.size(), rates);
  }

 private:
  double lr_, beta1_, beta2_, weight_decay_, epsilon_;
  double beta1_power_ = 1, beta2_power_ = 1;
  FloatBuffer mean_, square_;
};

}  // namespace

std::unique_ptr<ClientOptimizer> make_adam(const Options& options, std::size_t parameter_count) {
  return std::make_unique<Adam>(options, parameter_count);
}

}  // namespace gossamer
