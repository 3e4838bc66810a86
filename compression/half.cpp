// 16-bit floats: IEEE 754 binary16 (fp16) and the upper half of binary32 (bf16), rounded to the nearest, ties
// to even. What is too large becomes the largest that there is. By integers, so that every processor gives
// the same bits.
#include <cstring>

#include "compression/methods.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/half.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

struct Fp16Lanes {
  // The lower 16 bits of each lane.
  static HWY_INLINE WordVector encode(FloatVector x) {
    const Words words;
    const Floats floats;
    const auto bits = hn::BitCast(words, x);
    const auto sign = hn::ShiftRight<16>(hn::And(bits, hn::Set(words, 0x80000000U)));
    const auto magnitude =
        hn::Min(hn::And(bits, hn::Set(words, 0x7FFFFFFFU)), hn::Set(words, 0x477FE000U));  // 65504
    // Below 2^-14 there are steps of 2^-24 only, and adding 0.5 rounds to them.
    const auto half = hn::Set(floats, 0.5F);
    const auto small =
        hn::Sub(hn::BitCast(words, hn::Add(hn::BitCast(floats, magnitude), half)), hn::BitCast(words, half));
    const auto odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(words, 1));
    const auto normal =
        hn::ShiftRight<13>(hn::Add(hn::Add(magnitude, hn::Set(words, 0xC8000FFFU)), odd));  // less 112 << 23
    const auto is_small = hn::Lt(magnitude, hn::Set(words, 0x38800000U));
    return hn::Or(sign, hn::IfThenElse(is_small, small, normal));
  }
  static HWY_INLINE FloatVector decode(WordVector half) {
    const Words words;
    const Floats floats;
    const auto sign = hn::ShiftLeft<16>(hn::And(half, hn::Set(words, 0x8000U)));
    const auto magnitude = hn::ShiftLeft<13>(hn::And(half, hn::Set(words, 0x7FFFU)));
    const auto normal = hn::Add(magnitude, hn::Set(words, 112U << 23U));
    const auto least = hn::Set(words, 113U << 23U);  // 2^-14
    const auto small = hn::BitCast(
        words, hn::Sub(hn::BitCast(floats, hn::Add(magnitude, least)), hn::BitCast(floats, least)));
    const auto is_small = hn::Lt(magnitude, hn::Set(words, 0x400U << 13U));
    return hn::BitCast(floats, hn::Or(sign, hn::IfThenElse(is_small, small, normal)));
  }
  static constexpr std::uint16_t kExponent = 0x7C00;
};

struct Bf16Lanes {
  static HWY_INLINE WordVector encode(FloatVector x) {
    const Words words;
    const auto bits = hn::BitCast(words, x);
    const auto sign = hn::And(bits, hn::Set(words, 0x80000000U));
    const auto magnitude = hn::Min(hn::And(bits, hn::Set(words, 0x7FFFFFFFU)), hn::Set(words, 0x7F7F0000U));
    const auto odd = hn::And(hn::ShiftRight<16>(magnitude), hn::Set(words, 1));
    const auto rounded = hn::Add(hn::Add(magnitude, hn::Set(words, 0x7FFFU)), odd);
    return hn::ShiftRight<16>(hn::Or(sign, rounded));
  }
  static HWY_INLINE FloatVector decode(WordVector half) {
    return hn::BitCast(Floats(), hn::ShiftLeft<16>(half));
  }
  static constexpr std::uint16_t kExponent = 0x7F80;
};

constexpr std::size_t kHalfTail = 64;

// `residual` may be null. Returns the largest magnitudes seen.
template <class Lanes16>
HWY_INLINE WordVector encode_halves(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual,
                                    std::uint8_t* HWY_RESTRICT payload, std::size_t n, WordVector largest) {
  const Floats floats;
  const Integers integers;
  const hn::Rebind<std::uint16_t, Floats> halves;
  const hn::Repartition<std::uint8_t, decltype(halves)> bytes;
  const std::size_t lanes = hn::Lanes(floats);
  for (std::size_t i = 0; i < n; i += lanes) {
    auto x = hn::LoadU(floats, values + i);
    if (residual != nullptr) x = hn::Add(x, hn::LoadU(floats, residual + i));
    largest = hn::Max(largest, magnitude_bits(x));
    const auto half = Lanes16::encode(x);
    if (residual != nullptr) hn::StoreU(hn::Sub(x, Lanes16::decode(half)), floats, residual + i);
    hn::StoreU(hn::BitCast(bytes, hn::DemoteTo(halves, hn::BitCast(integers, half))), bytes, payload + 2 * i);
  }
  return largest;
}

template <class Lanes16>
HWY_INLINE bool encode_all(const float* values, float* residual, std::uint8_t* payload, std::size_t n) {
  const std::size_t whole = n - n % kHalfTail, rest = n - whole;
  WordVector largest = encode_halves<Lanes16>(values, residual, payload, whole, hn::Zero(Words()));
  if (rest > 0) {
    HWY_ALIGN float x[kHalfTail] = {};
    HWY_ALIGN float e[kHalfTail] = {};
    HWY_ALIGN std::uint8_t out[2 * kHalfTail];
    std::memcpy(x, values + whole, rest * sizeof(float));
    if (residual != nullptr) std::memcpy(e, residual + whole, rest * sizeof(float));
    largest = encode_halves<Lanes16>(x, residual == nullptr ? nullptr : e, out, kHalfTail, largest);
    if (residual != nullptr) std::memcpy(residual + whole, e, rest * sizeof(float));
    std::memcpy(payload + 2 * whole, out, 2 * rest);
  }
  return !has_non_finite(largest);
}

template <class Lanes16>
HWY_INLINE void add_halves(const std::uint8_t* HWY_RESTRICT payload, float weight, float* HWY_RESTRICT sum,
                           std::size_t n) {
  const Floats floats;
  const Words words;
  const hn::Rebind<std::uint16_t, Floats> halves;
  const hn::Repartition<std::uint8_t, decltype(halves)> bytes;
  const auto w = hn::Set(floats, weight);
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    const auto half = hn::PromoteTo(words, hn::BitCast(halves, hn::LoadU(bytes, payload + 2 * i)));
    hn::StoreU(hn::Add(hn::LoadU(floats, sum + i), hn::Mul(w, Lanes16::decode(half))), floats, sum + i);
  }
}

template <class Lanes16>
HWY_INLINE void add_all(const std::uint8_t* payload, float weight, float* sum, std::size_t n) {
  const std::size_t whole = n - n % kHalfTail, rest = n - whole;
  add_halves<Lanes16>(payload, weight, sum, whole);
  if (rest == 0) return;
  HWY_ALIGN std::uint8_t in[2 * kHalfTail] = {};
  HWY_ALIGN float out[kHalfTail] = {};
  std::memcpy(in, payload + 2 * whole, 2 * rest);
  std::memcpy(out, sum + whole, rest * sizeof(float));
  add_halves<Lanes16>(in, weight, out, kHalfTail);
  std::memcpy(sum + whole, out, rest * sizeof(float));
}

// No exponent of all ones: neither NaN nor infinity.
template <class Lanes16>
HWY_INLINE bool all_halves_finite(const std::uint8_t* payload, std::size_t n) {
  const hn::ScalableTag<std::uint16_t> d;
  const hn::Repartition<std::uint8_t, decltype(d)> bytes;
  const auto exponent = hn::Set(d, Lanes16::kExponent);
  auto bad = hn::MaskFromVec(hn::Zero(d));
  const std::size_t lanes = hn::Lanes(d);
  std::size_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto half = hn::BitCast(d, hn::LoadU(bytes, payload + 2 * i));
    bad = hn::Or(bad, hn::Eq(hn::And(half, exponent), exponent));
  }
  bool finite = hn::AllFalse(d, bad);
  for (; i < n; ++i) {
    std::uint16_t half;
    std::memcpy(&half, payload + 2 * i, sizeof half);
    finite = finite && (half & Lanes16::kExponent) != Lanes16::kExponent;
  }
  return finite;
}

bool encode_fp16(const float* values, float* residual, std::uint8_t* payload, std::size_t n) {
  return encode_all<Fp16Lanes>(values, residual, payload, n);
}
bool encode_bf16(const float* values, float* residual, std::uint8_t* payload, std::size_t n) {
  return encode_all<Bf16Lanes>(values, residual, payload, n);
}
void add_fp16(const std::uint8_t* payload, float weight, float* sum, std::size_t n) {
  add_all<Fp16Lanes>(payload, weight, sum, n);
}
void add_bf16(const std::uint8_t* payload, float weight, float* sum, std::size_t n) {
  add_all<Bf16Lanes>(payload, weight, sum, n);
}
bool finite_fp16(const std::uint8_t* payload, std::size_t n) {
  return all_halves_finite<Fp16Lanes>(payload, n);
}
bool finite_bf16(const std::uint8_t* payload, std::size_t n) {
  return all_halves_finite<Bf16Lanes>(payload, n);
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(encode_fp16);
HWY_EXPORT(encode_bf16);
HWY_EXPORT(add_fp16);
HWY_EXPORT(add_bf16);
HWY_EXPORT(finite_fp16);
HWY_EXPORT(finite_bf16);

class Half final : public FusedMethod {
 public:
  explicit Half(bool brain) : brain_(brain) {}

  CompressorTraits traits() const noexcept override { return {}; }
  std::size_t most_bytes(std::size_t floats) const noexcept override { return 2 * floats; }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (payload.size() != 2 * floats) return false;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
    return brain_ ? HWY_DYNAMIC_DISPATCH(finite_bf16)(bytes, floats)
                  : HWY_DYNAMIC_DISPATCH(finite_fp16)(bytes, floats);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
    brain_ ? HWY_DYNAMIC_DISPATCH(add_bf16)(bytes, weight, sum.data(), sum.size())
           : HWY_DYNAMIC_DISPATCH(add_fp16)(bytes, weight, sum.data(), sum.size());
  }

 private:
  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext,
                                   std::span<std::byte> payload) const override {
    auto* bytes = reinterpret_cast<std::uint8_t*>(payload.data());
    const bool finite =
        brain_ ? HWY_DYNAMIC_DISPATCH(encode_bf16)(values.data(), residual, bytes, values.size())
               : HWY_DYNAMIC_DISPATCH(encode_fp16)(values.data(), residual, bytes, values.size());
    return finite ? std::optional(2 * values.size()) : std::nullopt;
  }

  const bool brain_;
};

}  // namespace

std::unique_ptr<Method> make_fp16(const Options&) { return std::make_unique<Half>(false); }
std::unique_ptr<Method> make_bf16(const Options&) { return std::make_unique<Half>(true); }

}  // namespace gossamer
#endif
