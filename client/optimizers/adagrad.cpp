// Duchi, Hazan, Singer: "Adaptive subgradient methods for online learning and stochastic optimization",
// JMLR 2011.
#include <algorithm>
#include <cmath>

#include "client/optimizers/methods.h"
#include "core/buffers.h"
#include "core/simd.h"

namespace gossamer {
namespace {

struct Rates {
  float lr, weight_decay, epsilon;
};

GOSSAMER_MULTIVERSION
void step_adagrad(float* __restrict w, const float* __restrict g, float* __restrict sum, std::size_t n,
                  Rates rate) {
  for (std::size_t i = 0; i < n; ++i) {
    const float decayed = g[i] + rate.weight_decay * w[i];
    sum[i] += decayed * decayed;
    w[i] -= rate.lr * decayed / (std::sqrt(sum[i]) + rate.epsilon);
  }
}

class Adagrad final : public ClientOptimizer {
 public:
  Adagrad(Rates rates, std::size_t parameter_count) : rates_(rates), sum_(parameter_count) {}

  void reset() override { std::ranges::fill(sum_, 0.0F); }
  void step(std::span<float> w, std::span<const float> g, std::size_t offset) override {
    step_adagrad(w.data(), g.data(), sum_.data() + offset, w.size(), rates_);
  }

 private:
  Rates rates_;
  FloatBuffer sum_;
};

}  // namespace

std::unique_ptr<ClientOptimizer> make_adagrad(const Options& options, std::size_t parameter_count) {
  return std::make_unique<Adagrad>(Rates{static_cast<float>(options.real("client.lr")),
                                         static_cast<float>(options.real("client.weight_decay")),
                                         static_cast<float>(options.real("client.adagrad.epsilon"))},
                                   parameter_count);
}

}  // namespace gossamer
