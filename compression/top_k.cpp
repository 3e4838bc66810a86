// Top-k (Aji, Heafield: "Sparse communication for distributed gradient descent", EMNLP 2017): of each tensor
// the share compression.top_k.density of its values, at least one, that are the largest in magnitude; of
// equal ones the first. The payload is theirs (sparse_floats.h).
#include "compression/methods.h"
#include "compression/sparse_floats.h"

namespace gossamer {
namespace {

class TopK final : public FusedMethod {
 public:
  explicit TopK(double density) : density_(density) {}

  CompressorTraits traits() const noexcept override { return {.norm_nonincreasing = true}; }
  bool by_tensor() const noexcept override { return true; }
  bool has_fixed_length() const noexcept override { return false; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return most_sparse_bytes(floats, kept_values(density_, floats));
  }
  std::size_t scratch_bytes(std::size_t floats) const noexcept override { return choice_bytes(floats); }

  std::optional<EncodedVelocity> encode_velocity_with_residual(std::span<const float> values,
                                                               const Momentum& momentum,
                                                               std::span<float> residual, EncodeContext,
                                                               std::span<std::byte> payload) const override {
    const std::size_t n = values.size();
    const auto chosen = choose_largest(values, momentum, residual.data(), kept_values(density_, n),
                                       payload.subspan(most_bytes(n)));
    if (!chosen) return std::nullopt;
    return encoded_velocity(*chosen, write_sparse(chosen->largest, n, payload.data()));
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    return is_valid_sparse(payload, floats, kept_values(density_, floats));
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    add_sparse(payload, kept_values(density_, sum.size()), weight, sum);
  }

 private:
  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext,
                                   std::span<std::byte> payload) const override {
    const std::size_t n = values.size();
    const auto chosen =
        choose_largest(values, residual, kept_values(density_, n), payload.subspan(most_bytes(n)));
    return chosen ? std::optional(write_sparse(*chosen, n, payload.data())) : std::nullopt;
  }

  const double density_;
};

}  // namespace

std::unique_ptr<Method> make_top_k(const Options& options) {
  return std::make_unique<TopK>(options.real("compression.top_k.density"));
}

}  // namespace gossamer
