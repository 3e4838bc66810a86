// Momentum correction (Lin, Han, Mao, Wang, Dally: "Deep gradient compression", ICLR 2018) over any method:
// of each piece g the velocity u <- m u + g is given to the method instead of g; with Nesterov's momentum it
// is u + g of u <- m (u + g). Where the method's residual is zero afterwards, what a value has added up to
// has been sent, and its velocity is set to zero (factor masking), which would otherwise push on in a
// direction that is out of date. Where nothing at all is left out nothing is late, and the velocity stays:
// then it is SGD with momentum, and with masking it would be SGD without.
//
// With compression.local_clip a piece longer than that, by its own Euclidean norm, is scaled down to it
// before it is accumulated.
#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>

#include "compression/method.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/momentum_correction.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

void accumulate(const float* HWY_RESTRICT values, float scale, float factor, float* HWY_RESTRICT velocity,
                std::size_t n) {
  const Floats floats;
  const auto m = hn::Set(floats, factor), s = hn::Set(floats, scale);
  const std::size_t lanes = hn::Lanes(floats), whole = n - n % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    const auto u = hn::Mul(m, hn::LoadU(floats, velocity + i));
    hn::StoreU(hn::Add(u, hn::Mul(s, hn::LoadU(floats, values + i))), floats, velocity + i);
  }
  for (std::size_t i = whole; i < n; ++i) velocity[i] = factor * velocity[i] + scale * values[i];
}

// velocity <- factor * (velocity + scale * values), and ahead = velocity + scale * values.
void look_ahead(const float* HWY_RESTRICT values, float scale, float factor, float* HWY_RESTRICT velocity,
                float* HWY_RESTRICT ahead, std::size_t n) {
  const Floats floats;
  const auto m = hn::Set(floats, factor), s = hn::Set(floats, scale);
  const std::size_t lanes = hn::Lanes(floats), whole = n - n % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    const auto g = hn::Mul(s, hn::LoadU(floats, values + i));
    const auto u = hn::Mul(m, hn::Add(hn::LoadU(floats, velocity + i), g));
    hn::StoreU(u, floats, velocity + i);
    hn::StoreU(hn::Add(u, g), floats, ahead + i);
  }
  for (std::size_t i = whole; i < n; ++i) {
    const float g = scale * values[i];
    velocity[i] = factor * (velocity[i] + g);
    ahead[i] = velocity[i] + g;
  }
}

// velocity = 0 where the residual is.
void mask(const float* HWY_RESTRICT residual, float* HWY_RESTRICT velocity, std::size_t n) {
  const Floats floats;
  const std::size_t lanes = hn::Lanes(floats), whole = n - n % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    const auto sent = hn::Eq(hn::LoadU(floats, residual + i), hn::Zero(floats));
    if (HWY_LIKELY(hn::AllFalse(floats, sent))) continue;
    hn::StoreU(hn::IfThenZeroElse(sent, hn::LoadU(floats, velocity + i)), floats, velocity + i);
  }
  for (std::size_t i = whole; i < n; ++i) {
    if (residual[i] == 0) velocity[i] = 0;
  }
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(accumulate);
HWY_EXPORT(look_ahead);
HWY_EXPORT(mask);

// Of parts of 4,096 values, in 256 lanes of four neighbours each, which are added up two by two; and of the
// parts' sums in 64 lanes: an order that a GPU's threads can keep to (cuda/norm_jobs.h). No square of a float
// is out of a double's range.
double sum_of_squares(std::span<const float> values) {
  constexpr std::size_t kLanes = 256, kNeighbours = 4, kPart = 4096;
  std::array<double, 64> sums{};
  for (std::size_t part = 0; part * kPart < values.size(); ++part) {
    const auto own = values.subspan(part * kPart, std::min(kPart, values.size() - part * kPart));
    std::array<double, kLanes> lanes{};
    for (std::size_t i = 0; i < own.size(); ++i) {
      const auto x = static_cast<double>(own[i]);
      lanes[i / kNeighbours % kLanes] += x * x;
    }
    for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    }
    sums[part % sums.size()] += lanes[0];
  }
  double squares = 0;
  for (const double sum : sums) squares += sum;
  return squares;
}

std::span<const float> accumulate_all(std::span<const float> values, const Momentum& momentum) {
  HWY_DYNAMIC_DISPATCH(accumulate)
  (values.data(), momentum.scale, momentum.factor, momentum.velocity, values.size());
  return {momentum.velocity, values.size()};
}

std::optional<EncodedVelocity> of_unknown_places(std::optional<std::size_t> bytes) {
  return bytes ? std::optional(EncodedVelocity{*bytes, {}}) : std::nullopt;
}

class MomentumCorrection final : public Method {
 public:
  MomentumCorrection(std::unique_ptr<Method> inner, MomentumSettings settings)
      : inner_(std::move(inner)), settings_(settings) {}

  // What is sent is what came before, too.
  CompressorTraits traits() const noexcept override { return {}; }
  bool by_tensor() const noexcept override { return inner_->by_tensor(); }
  std::size_t state_floats(std::size_t floats) const noexcept override {
    return floats + inner_->state_floats(floats);
  }
  std::size_t most_bytes(std::size_t floats) const noexcept override { return inner_->most_bytes(floats); }
  bool has_fixed_length() const noexcept override { return inner_->has_fixed_length(); }
  std::size_t scratch_bytes(std::size_t floats) const noexcept override {
    return inner_->scratch_bytes(floats) + (settings_.nesterov ? alignof(float) + floats * sizeof(float) : 0);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) const override {
    const std::size_t n = values.size();
    const auto velocity = state.first(n), kept = state.subspan(n);
    const Momentum momentum{velocity.data(), settings_.factor, scale_of(values)};
    const auto encoded = settings_.nesterov
                             ? encode_ahead(values, momentum, kept, context, payload)
                             : inner_->encode_velocity(values, momentum, kept, context, payload);
    if (!encoded) return std::nullopt;
    if (inner_->has_residual() && masks(kept.first(n))) {
      if (encoded->settled) {
        for (const std::uint32_t place : *encoded->settled) velocity[place] = 0;
      } else {
        HWY_DYNAMIC_DISPATCH(mask)(kept.data(), velocity.data(), n);
      }
    }
    return encoded->bytes;
  }
  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    return inner_->is_valid(payload, floats);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    inner_->add(payload, weight, sum);
  }

 private:
  // With Nesterov's momentum, of which what is encoded is not the velocity.
  std::optional<EncodedVelocity> encode_ahead(std::span<const float> values, const Momentum& momentum,
                                              std::span<float> state, EncodeContext context,
                                              std::span<std::byte> payload) const {
    const std::size_t n = values.size();
    void* behind = payload.data() + inner_->room_bytes(n);
    std::size_t room = payload.size() - inner_->room_bytes(n);
    auto* const ahead = static_cast<float*>(std::align(alignof(float), n * sizeof(float), behind, room));
    HWY_DYNAMIC_DISPATCH(look_ahead)
    (values.data(), momentum.scale, momentum.factor, momentum.velocity, ahead, n);
    return of_unknown_places(
        inner_->encode({ahead, n}, state, context, payload.first(inner_->room_bytes(n))));
  }

  bool masks(std::span<const float> residual) const {
    if (settings_.masking != Masking::unless_all_is_sent) return settings_.masking == Masking::always;
    return std::ranges::any_of(residual, [](float x) { return x != 0; });
  }

  // What the values are multiplied by.
  float scale_of(std::span<const float> values) const {
    if (settings_.clip == 0) return 1;
    const double squares = sum_of_squares(values);
    const double norm = std::sqrt(squares);
    if (!std::isfinite(norm)) return 1;  // the method refuses them
    return norm > settings_.clip ? static_cast<float>(settings_.clip / norm) : 1.0F;
  }

  const std::unique_ptr<Method> inner_;
  const MomentumSettings settings_;
};

}  // namespace

std::optional<EncodedVelocity> Method::encode_velocity(std::span<const float> values,
                                                       const Momentum& momentum, std::span<float> state,
                                                       EncodeContext context,
                                                       std::span<std::byte> payload) const {
  return of_unknown_places(encode(accumulate_all(values, momentum), state, context, payload));
}

std::optional<EncodedVelocity> Method::encode_velocity_with_residual(std::span<const float> values,
                                                                     const Momentum& momentum,
                                                                     std::span<float> state,
                                                                     EncodeContext context,
                                                                     std::span<std::byte> payload) const {
  return of_unknown_places(encode_with_residual(accumulate_all(values, momentum), state, context, payload));
}

std::unique_ptr<Method> make_momentum_correction(std::unique_ptr<Method> inner, MomentumSettings settings) {
  return std::make_unique<MomentumCorrection>(std::move(inner), settings);
}

}  // namespace gossamer
#endif
