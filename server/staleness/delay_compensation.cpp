// DC-ASGD (Zheng, Meng, Wang, Chen, Yu, Ma, Liu: "Asynchronous stochastic gradient descent with delay
// compensation", ICML 2017): a gradient g that was computed at `base` meets the weights w as
//   g + lambda_t g . g . (w - base),
// the update being -lr g. Constant: lambda_t = lambda. Adaptive: lambda / sqrt(MeanSquare + epsilon) for each
// weight, MeanSquare = m MeanSquare + (1 - m) g . g.
#include <cmath>

#include "server/staleness/methods.h"

namespace gossamer {
namespace {

class DelayCompensation final : public Correction {
 public:
  explicit DelayCompensation(const Options& options)
      : lambda_(static_cast<float>(options.real("sync.correction.delay_compensation.lambda"))),
        adaptive_(options.flag("sync.correction.delay_compensation.adaptive")),
        lr_(static_cast<float>(options.real("client.lr"))) {}

  bool is_elementwise() const noexcept override { return true; }
  void correct(std::span<float> update, std::span<const float> current,
               std::span<const float> base) override {
    constexpr float kMemory = 0.95F;
    constexpr float kEpsilon = 1e-7F;
    if (adaptive_ && state().empty()) state().assign(update.size(), 0.0F);
    for (std::size_t i = 0; i < update.size(); ++i) {
      const float g = update[i] / -lr_;
      float lambda = lambda_;
      if (adaptive_) {
        float& mean_square = state()[i];
        mean_square = kMemory * mean_square + (1 - kMemory) * g * g;
        lambda /= std::sqrt(mean_square + kEpsilon);
      }
      // At staleness 0 the difference is 0, and so is the compensation, exactly.
      update[i] -= lr_ * (lambda * g * g * (current[i] - base[i]));
    }
  }

 private:
  float lambda_;
  bool adaptive_;
  float lr_;
};

}  // namespace

std::unique_ptr<Correction> make_delay_compensation(const Options& options) {
  return std::make_unique<DelayCompensation>(options);
}

}  // namespace gossamer
