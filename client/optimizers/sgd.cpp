// Stochastic gradient descent: g += weight_decay w; v <- momentum v + g; w -= lr v, or with Nesterov's
// momentum w -= lr (g + momentum v).
#include <algorithm>

#include "client/optimizers/methods.h"
#include "core/buffers.h"
#include "core/error.h"
#include "core/simd.h"

namespace gossamer {
namespace {

struct Rates {
  float lr, weight_decay, momentum;
};

GOSSAMER_MULTIVERSION
void step_plain(float* __restrict w, const float* __restrict g, std::size_t n, Rates rate) {
  for (std::size_t i = 0; i < n; ++i) w[i] -= rate.lr * (g[i] + rate.weight_decay * w[i]);
}

GOSSAMER_MULTIVERSION
void step_momentum(float* __restrict w, const float* __restrict g, float* __restrict v, std::size_t n,
                   Rates rate) {
  for (std::size_t i = 0; i < n; ++i) {
    v[i] = rate.momentum * v[i] + (g[i] + rate.weight_decay * w[i]);
    w[i] -= rate.lr * v[i];
  }
}

GOSSAMER_MULTIVERSION
void step_nesterov(float* __restrict w, const float* __restrict g, float* __restrict v, std::size_t n,
                   Rates rate) {
  for (std::size_t i = 0; i < n; ++i) {
    const float decayed = g[i] + rate.weight_decay * w[i];
    v[i] = rate.momentum * v[i] + decayed;
    w[i] -= rate.lr * (decayed + rate.momentum * v[i]);
  }
}

class Sgd final : public ClientOptimizer {
 public:
  Sgd(Rates rates, bool nesterov, std::size_t parameter_count) : rates_(rates), nesterov_(nesterov) {
    if (rates_.momentum != 0) velocity_.resize(parameter_count);
  }

  void reset() override { std::ranges::fill(velocity_, 0.0F); }

  void step(std::span<float> w, std::span<const float> g, std::size_t offset) override {
    if (velocity_.empty()) return step_plain(w.data(), g.data(), w.size(), rates_);
    (nesterov_ ? step_nesterov : step_momentum)(w.data(), g.data(), velocity_.data() + offset, w.size(),
                                                rates_);
  }

  std::optional<PlainDescent> plain_descent() const override {
    if (!velocity_.empty()) return std::nullopt;
    return PlainDescent{1 - rates_.lr * rates_.weight_decay, rates_.lr};
  }

 private:
  Rates rates_;
  bool nesterov_;
  FloatBuffer velocity_;
};

}  // namespace

std::unique_ptr<ClientOptimizer> make_sgd(const Options& options, std::size_t parameter_count) {
  const Rates rates{static_cast<float>(options.real("client.lr")),
                    static_cast<float>(options.real("client.weight_decay")),
                    static_cast<float>(options.real("client.momentum"))};
  const bool nesterov = options.flag("client.nesterov");
  if (nesterov && rates.momentum == 0) {
    throw ConfigError("client.nesterov = true: needs client.momentum above 0, which is 0");
  }
  return std::make_unique<Sgd>(rates, nesterov, parameter_count);
}

}  // namespace gossamer
