#include "compression/shrunk.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

namespace gossamer {
namespace {

// Before the other method's payload.
using Factor = float;
constexpr std::size_t kAlignment = 64;

// The multiple of `decoded` that is nearest to x.
Factor nearest_multiple(std::span<const float> x, std::span<const float> decoded) {
  double product = 0, square = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    product += static_cast<double>(x[i]) * static_cast<double>(decoded[i]);
    square += static_cast<double>(decoded[i]) * static_cast<double>(decoded[i]);
  }
  const double factor = square > 0 ? product / square : 1;
  return static_cast<Factor>(std::clamp(factor, 0.0, 1.0));
}

class Shrunk final : public Method {
 public:
  explicit Shrunk(std::unique_ptr<Method> inner) : inner_(std::move(inner)) {}

  CompressorTraits traits() const noexcept override { return {}; }
  bool by_tensor() const noexcept override { return inner_->by_tensor(); }
  std::size_t state_floats(std::size_t floats) const noexcept override {
    return inner_->state_floats(floats);
  }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return sizeof(Factor) + inner_->most_bytes(floats);
  }
  bool has_fixed_length() const noexcept override { return inner_->has_fixed_length(); }
  // What the other method decodes to, as well.
  std::size_t scratch_bytes(std::size_t floats) const noexcept override {
    return inner_->scratch_bytes(floats) + kAlignment + floats * sizeof(float);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) const override {
    const auto own = payload.subspan(sizeof(Factor), inner_->room_bytes(values.size()));
    const auto length = inner_->encode(values, state, context, own);
    if (!length) return std::nullopt;
    void* place = own.data() + own.size();
    std::size_t room = kAlignment + values.size() * sizeof(float);
    std::align(kAlignment, values.size() * sizeof(float), place, room);
    const std::span<float> decoded(static_cast<float*>(place), values.size());
    std::ranges::fill(decoded, 0.0F);
    inner_->add(own.first(*length), 1, decoded);
    const Factor factor = nearest_multiple(values, decoded);
    std::memcpy(payload.data(), &factor, sizeof factor);
    return sizeof factor + *length;
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (payload.size() < sizeof(Factor)) return false;
    const Factor factor = factor_of(payload);
    return factor >= 0 && factor <= 1 && !std::signbit(factor) &&
           inner_->is_valid(payload.subspan(sizeof factor), floats);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    inner_->add(payload.subspan(sizeof(Factor)), weight * factor_of(payload), sum);
  }

 private:
  static Factor factor_of(std::span<const std::byte> payload) noexcept {
    Factor factor;
    std::memcpy(&factor, payload.data(), sizeof factor);
    return factor;
  }

  std::unique_ptr<Method> inner_;
};

}  // namespace

std::unique_ptr<Method> make_shrunk(std::unique_ptr<Method> inner) {
  return std::make_unique<Shrunk>(std::move(inner));
}

}  // namespace gossamer
