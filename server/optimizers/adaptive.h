#pragma once

#include <cmath>
#include <memory>
#include <string>

#include "server/optimizers/methods.h"

namespace gossamer {

// The frame that FedAdagrad, FedAdam and FedYogi share (Reddi et al. 2020, Algorithm 2):
//   m = beta1 m + (1 - beta1) u;  v = SecondMoment(v, u^2);  model += lr m / (sqrt(v) + tau)
// SecondMoment is a callable (float v, float u_squared) -> float; it is all in which the three differ.
template <class SecondMoment>
class AdaptiveOptimizer final : public ServerOptimizer {
 public:
  // `beta2` is only used to correct bias; pass 0 where there is no correction.
  AdaptiveOptimizer(const Options& options, const std::string& name, SecondMoment second_moment, double beta2)
      : lr_(options.real("server.lr")),
        beta1_(options.real("server." + name + ".beta1")),
        beta2_(beta2),
        tau_(static_cast<float>(options.real("server." + name + ".tau"))),
        initial_(static_cast<float>(options.real("server." + name + ".initial"))),
        second_moment_(second_moment) {}

  void step(std::span<float> model, std::span<const float> pseudo_gradient) override {
    if (state_.empty()) {
      state_.emplace_back(model.size(), 0.0F);
      state_.emplace_back(model.size(), initial_);
      state_.emplace_back(1, 0.0F);  // rounds so far, for the bias correction; exact up to 2^24
    }
    FloatBuffer& first = state_[0];
    FloatBuffer& second = state_[1];
    const double rounds = static_cast<double>(state_[2][0] += 1.0F);
    const bool correct = beta2_ > 0;
    const auto decay = static_cast<float>(beta1_);
    const auto lr = static_cast<float>(correct ? lr_ / (1 - std::pow(beta1_, rounds)) : lr_);
    const auto unbias = static_cast<float>(correct ? 1 / (1 - std::pow(beta2_, rounds)) : 1);
    for (std::size_t i = 0; i < model.size(); ++i) {
      const float u = pseudo_gradient[i];
      first[i] = decay * first[i] + (1 - decay) * u;
      second[i] = second_moment_(second[i], u * u);
      model[i] += lr * first[i] / (std::sqrt(second[i] * unbias) + tau_);
    }
  }
  bool is_elementwise() const noexcept override { return true; }
  std::vector<FloatBuffer>& state() override { return state_; }

 private:
  double lr_, beta1_, beta2_;
  float tau_, initial_;
  SecondMoment second_moment_;
  std::vector<FloatBuffer> state_;
};

}  // namespace gossamer
