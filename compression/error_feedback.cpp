#include <utility>

#include "compression/method.h"

namespace gossamer {

std::optional<std::size_t> Method::encode_with_residual(std::span<const float> values, std::span<float> state,
                                                        EncodeContext context,
                                                        std::span<std::byte> payload) const {
  const auto residual = state.first(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) residual[i] = values[i] + residual[i];
  const auto length = encode(residual, state.subspan(values.size()), context, payload);
  if (length) add(payload.first(*length), -1, residual);
  return length;
}

namespace {

class ErrorFeedback final : public Method {
 public:
  explicit ErrorFeedback(std::unique_ptr<Method> inner) : inner_(std::move(inner)) {}

  // What is sent is what was left over, too.
  CompressorTraits traits() const noexcept override { return {.telescopes = true}; }
  bool by_tensor() const noexcept override { return inner_->by_tensor(); }
  std::size_t state_floats(std::size_t floats) const noexcept override {
    return floats + inner_->state_floats(floats);
  }
  bool has_residual() const noexcept override { return true; }
  std::size_t most_bytes(std::size_t floats) const noexcept override { return inner_->most_bytes(floats); }
  bool has_fixed_length() const noexcept override { return inner_->has_fixed_length(); }
  std::size_t scratch_bytes(std::size_t floats) const noexcept override {
    return inner_->scratch_bytes(floats);
  }
  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) const override {
    return inner_->encode_with_residual(values, state, context, payload);
  }
  std::optional<EncodedVelocity> encode_velocity(std::span<const float> values, const Momentum& momentum,
                                                 std::span<float> state, EncodeContext context,
                                                 std::span<std::byte> payload) const override {
    return inner_->encode_velocity_with_residual(values, momentum, state, context, payload);
  }
  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    return inner_->is_valid(payload, floats);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    inner_->add(payload, weight, sum);
  }

 private:
  std::unique_ptr<Method> inner_;
};

}  // namespace

std::unique_ptr<Method> make_error_feedback(std::unique_ptr<Method> inner) {
  return std::make_unique<ErrorFeedback>(std::move(inner));
}

}  // namespace gossamer
