// Random sparsification (Konecny, McMahan, Yu, Richtarik, Suresh, Bacon: "Federated learning: strategies for
// improving communication efficiency", 2016, as a random mask; Stich, Cordonnier, Jaggi, 2018, with memory):
// of each tensor the share compression.random_k.density of its values, at least one, wherever a seed says.
// The payload is the seed (u64) and the values, without indices. They are scaled by n / k, so that their mean
// is the vector; with error feedback they are not.
// `random_mask`, the structured update of Konecny et al., is the same without the scale: what is decoded is
// the vector wherever the mask is, and zero elsewhere.
#include <cmath>
#include <cstring>

#include "compression/methods.h"
#include "compression/random_subset.h"
#include "compression/sparse_floats.h"

namespace gossamer {
namespace {

class RandomK final : public FusedMethod {
 public:
  RandomK(double density, bool scaled) : density_(density), scaled_(scaled) {}

  CompressorTraits traits() const noexcept override {
    return {.linear = true, .unbiased = scaled_, .norm_nonincreasing = !scaled_};
  }
  bool by_tensor() const noexcept override { return true; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return sizeof(std::uint64_t) + kept(floats) * sizeof(float);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (payload.size() != most_bytes(floats)) return false;
    const float scale = scale_of(floats);
    bool finite = true;
    for (std::size_t i = 0, k = kept(floats); i < k; ++i) finite &= std::isfinite(value(payload, i) * scale);
    return finite;
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    std::uint64_t key;
    std::memcpy(&key, payload.data(), sizeof key);
    const Permutation place(sum.size(), key);
    const float scale = scale_of(sum.size());
    for (std::size_t i = 0, k = kept(sum.size()); i < k; ++i)
      sum[place(i)] += weight * (value(payload, i) * scale);
  }

 private:
  std::size_t kept(std::size_t floats) const noexcept { return kept_values(density_, floats); }
  float scale_of(std::size_t floats) const noexcept {
    return scaled_ ? static_cast<float>(floats) / static_cast<float>(kept(floats)) : 1.0F;
  }
  static float value(std::span<const std::byte> payload, std::size_t i) noexcept {
    float x;
    std::memcpy(&x, payload.data() + sizeof(std::uint64_t) + i * sizeof x, sizeof x);
    return x;
  }

  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext context,
                                   std::span<std::byte> payload) const override {
    const std::size_t n = values.size(), k = kept(n);
    bool finite = true;
    for (std::size_t i = 0; i < n; ++i) {
      if (residual != nullptr) residual[i] = values[i] + residual[i];
      finite &= std::isfinite(residual != nullptr ? residual[i] : values[i]);
    }
    if (!finite) return std::nullopt;
    std::memcpy(payload.data(), &context.key, sizeof context.key);
    const Permutation place(n, context.key);
    const float scale = scale_of(n);
    for (std::size_t i = 0; i < k; ++i) {
      const std::size_t at = place(i);
      const float x = residual != nullptr ? residual[at] : values[at];
      std::memcpy(payload.data() + sizeof context.key + i * sizeof x, &x, sizeof x);
      if (residual != nullptr) residual[at] -= x * scale;
    }
    return most_bytes(n);
  }

  const double density_;
  const bool scaled_;
};

}  // namespace

std::unique_ptr<Method> make_random_k(const Options& options) {
  return std::make_unique<RandomK>(options.real("compression.random_k.density"),
                                   options.text("compression.error_feedback") != "on");
}

std::unique_ptr<Method> make_random_mask(const Options& options) {
  return std::make_unique<RandomK>(options.real("compression.random_mask.density"), false);
}

}  // namespace gossamer
