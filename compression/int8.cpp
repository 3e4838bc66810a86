// 8-bit integers: of each block the largest magnitude over 127 as a step, of each value the number of steps,
// rounded to the nearest or at random to one of the two next to it. A block's payload is the step, then a
// byte a value.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "compression/methods.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/int8.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

constexpr std::int32_t kMostSteps = 127;
constexpr float kLeastScale = 0x1p-100F;  // below it a block counts as zeros: 1 / step would overflow

template <bool stochastic>
HWY_INLINE void quantize(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual, float step,
                         float inverse, const std::uint16_t* random, std::int8_t* HWY_RESTRICT out,
                         std::size_t n) {
  const Floats floats;
  const Integers integers;
  const hn::Rebind<std::int8_t, Floats> bytes;
  const hn::Rebind<std::int16_t, Floats> halves;
  [[maybe_unused]] const auto most = hn::Set(integers, kMostSteps);
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    __builtin_prefetch(values + i + kBlockFloats);  // the next block, while this one is in the cache
    const auto x = hn::LoadU(floats, values + i);
    const auto level = hn::Mul(x, hn::Set(floats, inverse));
    hn::Vec<Integers> whole;
    if constexpr (stochastic) {
      const auto steps = hn::Min(round_at_random(hn::Abs(level), random + i), most);
      const auto negative = hn::RebindMask(integers, hn::Lt(x, hn::Zero(floats)));
      whole = hn::IfThenElse(negative, hn::Neg(steps), steps);
    } else {
      whole = hn::NearestInt(level);  // at most kMostSteps: 127 / scale times the scale is that to a few ulp
    }
    if (residual != nullptr) {
      const auto sent = hn::Mul(hn::ConvertTo(floats, whole), hn::Set(floats, step));
      hn::StoreU(hn::Sub(x, sent), floats, residual + i);
    }
    hn::StoreU(hn::DemoteTo(bytes, hn::DemoteTo(halves, whole)), bytes, out + i);
  }
}

// A block of at most kRandomChunk floats, and number `block` of its piece.
template <bool stochastic>
HWY_INLINE bool encode_block(const float* values, float* residual, std::uint64_t key, std::uint64_t block,
                             std::uint8_t* payload, std::size_t n) {
  HWY_ALIGN std::uint16_t random[kRandomChunk];
  HWY_ALIGN float padded[kSumLanes] = {};
  HWY_ALIGN float left[kSumLanes] = {};
  const std::size_t whole = n - n % kSumLanes, rest = n - whole;
  if (rest > 0) {
    std::memcpy(padded, values + whole, rest * sizeof(float));
    if (residual != nullptr) std::memcpy(left, residual + whole, rest * sizeof(float));
  }
  WordVector largest = largest_magnitude(values, residual, whole, hn::Zero(Words()));
  largest = largest_magnitude(padded, residual == nullptr ? nullptr : left, kSumLanes, largest);
  if (has_non_finite(largest)) return false;
  const float scale = largest_lane(largest);
  const float step = scale < kLeastScale ? 0 : scale / 127;
  const float inverse = scale < kLeastScale ? 0 : 127 / scale;
  std::memcpy(payload, &step, sizeof step);
  auto* const out = reinterpret_cast<std::int8_t*>(payload + sizeof step);
  if (stochastic) random_chunk(key, block, random);
  quantize<stochastic>(residual == nullptr ? values : residual, residual, step, inverse, random, out, whole);
  if (rest == 0) return true;
  std::int8_t last[kSumLanes];
  quantize<stochastic>(residual == nullptr ? padded : left, residual == nullptr ? nullptr : left, step,
                       inverse, random + whole, last, kSumLanes);
  std::memcpy(out + whole, last, rest);
  if (residual != nullptr) std::memcpy(residual + whole, left, rest * sizeof(float));
  return true;
}

template <bool stochastic>
HWY_INLINE bool encode_blocks(const float* values, float* residual, std::uint64_t key, std::uint8_t* payload,
                              std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin);
    if (!encode_block<stochastic>(values + begin, residual == nullptr ? nullptr : residual + begin, key,
                                  begin / kBlockFloats, payload, length))
      return false;
    payload += sizeof(float) + length;
  }
  return true;
}

bool encode_int8(const float* values, float* residual, bool stochastic, std::uint64_t key,
                 std::uint8_t* payload, std::size_t n) {
  return stochastic ? encode_blocks<true>(values, residual, key, payload, n)
                    : encode_blocks<false>(values, residual, key, payload, n);
}

void add_int8(const std::uint8_t* payload, float weight, float* sum, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin);
    float step;
    std::memcpy(&step, payload, sizeof step);
    add_levels(reinterpret_cast<const std::int8_t*>(payload + sizeof step), step, weight, sum + begin,
               length);
    payload += sizeof(float) + length;
  }
}

// Of the right length.
bool is_valid_int8(const std::uint8_t* payload, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin);
    float step;
    std::memcpy(&step, payload, sizeof step);
    if (!(step >= 0 && std::isfinite(step * 127))) return false;
    payload += sizeof step;
    std::uint8_t strange = 0;
    for (std::size_t i = 0; i < length; ++i)
      strange = static_cast<std::uint8_t>(strange | (payload[i] == 0x80 ? 1 : 0));  // -128 is never written
    if (strange != 0) return false;
    payload += length;
  }
  return true;
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(encode_int8);
HWY_EXPORT(add_int8);
HWY_EXPORT(is_valid_int8);

class Int8 final : public FusedMethod {
 public:
  explicit Int8(bool stochastic) : stochastic_(stochastic) {}

  CompressorTraits traits() const noexcept override { return {.unbiased = stochastic_}; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return floats + (floats + kBlockFloats - 1) / kBlockFloats * sizeof(float);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    return payload.size() == most_bytes(floats) &&
           HWY_DYNAMIC_DISPATCH(is_valid_int8)(reinterpret_cast<const std::uint8_t*>(payload.data()), floats);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    HWY_DYNAMIC_DISPATCH(add_int8)
    (reinterpret_cast<const std::uint8_t*>(payload.data()), weight, sum.data(), sum.size());
  }

 private:
  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext context,
                                   std::span<std::byte> payload) const override {
    auto* bytes = reinterpret_cast<std::uint8_t*>(payload.data());
    const bool finite = HWY_DYNAMIC_DISPATCH(encode_int8)(values.data(), residual, stochastic_, context.key,
                                                          bytes, values.size());
    return finite ? std::optional(most_bytes(values.size())) : std::nullopt;
  }

  const bool stochastic_;
};

}  // namespace

std::unique_ptr<Method> make_int8(const Options& options) {
  return std::make_unique<Int8>(options.text("compression.int8.rounding") == "stochastic");
}

}  // namespace gossamer
#endif
