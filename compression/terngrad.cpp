// TernGrad (Wen, Xu, Yan, Wu, Wang, Chen, Li: "TernGrad: ternary gradients to reduce communication in
// distributed deep learning", NIPS 2017): of each tensor the largest magnitude s, where values further than
// compression.terngrad.clip standard deviations from zero are clipped first; of each value s, 0 or -s, at
// random so that the mean is the value. The payload is s, then five values a byte in base 3 (0, 1 and 2 for
// 0, s and -s): byte k of a block of 2,560 values has those numbered k, k + 512, ..., the least significant
// first. In a shorter block the step is a fifth of its length, rounded up.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "compression/methods.h"
#include "compression/ternary.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/terngrad.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

constexpr std::size_t kDigits = 5;
constexpr std::size_t kTernaryBlock = kDigits * kRandomChunk;
constexpr std::size_t kTernarySums = 4096;  // values that are summed in single precision
constexpr std::size_t kTernaryTotals = 64;  // lanes that their totals are added up in, for the sake of GPUs

struct TernaryStatistic {
  double sums[kTernaryTotals] = {}, squares[kTernaryTotals] = {};
  std::size_t totals = 0;  // so far
  WordVector
      largest;  // set by hand: a constructor that is not written down is compiled for the oldest processor
};

// n is a multiple of kSumLanes.
HWY_INLINE void ternary_statistic(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual,
                                  std::size_t n, TernaryStatistic& statistic) {
  const Floats floats;
  LaneSums sum, squares;
  for (std::size_t i = 0; i < n; i += kSumLanes) {
    for (std::size_t part = 0; part < kVectors; ++part) {
      const std::size_t at = i + part * hn::Lanes(floats);
      auto x = hn::LoadU(floats, values + at);
      if (residual != nullptr) {
        x = hn::Add(x, hn::LoadU(floats, residual + at));
        hn::StoreU(x, floats, residual + at);
      }
      sum.add(part, x);
      squares.add(part, hn::Mul(x, x));
      statistic.largest = hn::Max(statistic.largest, magnitude_bits(x));
    }
  }
  statistic.sums[statistic.totals % kTernaryTotals] += sum.total();
  statistic.squares[statistic.totals % kTernaryTotals] += squares.total();
  ++statistic.totals;
}

// The scaler s; negative where a value is NaN or infinite. With `residual` the values are values + residual,
// which is where they are left.
float ternary_scale(const float* values, float* residual, std::size_t n, double clip) {
  TernaryStatistic statistic;
  statistic.largest = hn::Zero(Words());
  const std::size_t whole = n - n % kSumLanes, rest = n - whole;
  for (std::size_t begin = 0; begin < whole; begin += kTernarySums)
    ternary_statistic(values + begin, residual == nullptr ? nullptr : residual + begin,
                      std::min(kTernarySums, whole - begin), statistic);
  if (rest > 0) {
    HWY_ALIGN float x[kSumLanes] = {};
    HWY_ALIGN float e[kSumLanes] = {};
    std::memcpy(x, values + whole, rest * sizeof(float));
    if (residual != nullptr) std::memcpy(e, residual + whole, rest * sizeof(float));
    ternary_statistic(x, residual == nullptr ? nullptr : e, kSumLanes, statistic);
    if (residual != nullptr) std::memcpy(residual + whole, e, rest * sizeof(float));
  }
  if (has_non_finite(statistic.largest)) return -1;
  const float largest = largest_lane(statistic.largest);
  if (clip <= 0) return largest;
  double sum = 0, squares = 0;
  for (std::size_t lane = 0; lane < kTernaryTotals; ++lane) {
    sum += statistic.sums[lane];
    squares += statistic.squares[lane];
  }
  const double mean = sum / static_cast<double>(n);
  const double deviation = std::sqrt(std::max(0.0, squares / static_cast<double>(n) - mean * mean));
  return static_cast<float>(std::min(static_cast<double>(largest), clip * deviation));
}

constexpr float kCertain = 65536;  // in units of 2^-16

// digits: 0, 1 or 2 of each of n values, so that what is sent of a value is likely by its magnitude times
// `inverse`, or by `most`, in units of 2^-16.
HWY_INLINE void ternary_digits(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual, float scale,
                               float inverse, float most, const std::uint16_t* random,
                               std::uint8_t* HWY_RESTRICT digits, std::size_t n) {
  const Floats floats;
  const Integers integers;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    const auto x = hn::LoadU(floats, values + i);
    const auto share = hn::Min(hn::Mul(hn::Abs(x), hn::Set(floats, inverse)), hn::Set(floats, most));
    const auto sent =
        hn::RebindMask(floats, hn::Lt(random_integers(random + i), hn::ConvertTo(integers, share)));
    const auto negative = hn::Lt(x, hn::Zero(floats));
    if (residual != nullptr) {
      const auto value = hn::IfThenElse(negative, hn::Set(floats, -scale), hn::Set(floats, scale));
      hn::StoreU(hn::Sub(x, hn::IfThenElseZero(sent, value)), floats, residual + i);
    }
    const auto digit =
        hn::IfThenElse(hn::RebindMask(integers, negative), hn::Set(integers, 2), hn::Set(integers, 1));
    hn::StoreU(hn::DemoteTo(bytes, hn::IfThenElseZero(hn::RebindMask(integers, sent), digit)), bytes,
               digits + i);
  }
}

// The same of any number of values up to kRandomChunk.
HWY_INLINE void ternary_plane(const float* values, float* residual, float scale, float inverse, float most,
                              const std::uint16_t* random, std::uint8_t* digits, std::size_t n) {
  const std::size_t whole = n - n % kSumLanes, rest = n - whole;
  ternary_digits(values, residual, scale, inverse, most, random, digits, whole);
  if (rest == 0) return;
  HWY_ALIGN float x[kSumLanes] = {};
  HWY_ALIGN float e[kSumLanes];
  std::uint8_t last[kSumLanes];
  std::memcpy(x, values + whole, rest * sizeof(float));
  ternary_digits(x, residual == nullptr ? nullptr : e, scale, inverse, most, random + whole, last, kSumLanes);
  if (residual != nullptr) std::memcpy(residual + whole, e, rest * sizeof(float));
  std::memcpy(digits + whole, last, rest);
}

void encode_ternary(const float* values, float* residual, float scale, std::uint64_t key,
                    std::uint8_t* payload, std::size_t n) {
  const float inverse = scale > 0x1p-100F ? kCertain / scale : 0;  // so small a tensor counts as zeros
  const float* const from = residual == nullptr ? values : residual;
  HWY_ALIGN std::uint16_t random[kRandomChunk];
  HWY_ALIGN std::uint8_t digits[kRandomChunk];
  for (std::size_t begin = 0, chunk = 0; begin < n; begin += kTernaryBlock, chunk += kDigits) {
    const std::size_t length = std::min(kTernaryBlock, n - begin);
    const std::size_t stride = (length + kDigits - 1) / kDigits;
    unsigned place = 1;
    for (std::size_t plane = 0; plane < kDigits; ++plane, place *= 3) {
      const std::size_t first = std::min(length, plane * stride);
      const std::size_t count = std::min(length - first, stride);
      random_chunk(key, chunk + plane, random);
      ternary_plane(from + begin + first, residual == nullptr ? nullptr : residual + begin + first, scale,
                    inverse, kCertain, random, digits, count);
      if (plane == 0) {
        std::memcpy(payload, digits, stride);
      } else {
        for (std::size_t k = 0; k < count; ++k)
          payload[k] = static_cast<std::uint8_t>(payload[k] + digits[k] * place);
      }
    }
    payload += stride;
  }
}

void draw_numbers(const float* values, float bound, float share, std::uint64_t key, std::int16_t* numbers,
                  std::size_t n) {
  HWY_ALIGN std::uint16_t random[kRandomChunk];
  HWY_ALIGN std::uint8_t digits[kRandomChunk];
  const float inverse = kCertain * share, most = std::min(kCertain, bound * inverse);
  for (std::size_t begin = 0; begin < n; begin += kRandomChunk) {
    const std::size_t count = std::min(kRandomChunk, n - begin);
    random_chunk(key, begin / kRandomChunk, random);
    ternary_plane(values + begin, nullptr, 0, inverse, most, random, digits, count);
    for (std::size_t k = 0; k < count; ++k)
      numbers[begin + k] = static_cast<std::int16_t>((digits[k] & 1) - (digits[k] >> 1));
  }
}

void add_ternary(const std::uint8_t* payload, float scale, float weight, float* sum, std::size_t n) {
  HWY_ALIGN std::uint8_t left[kRandomChunk];
  HWY_ALIGN std::int8_t signs[kRandomChunk];
  for (std::size_t begin = 0; begin < n; begin += kTernaryBlock) {
    const std::size_t length = std::min(kTernaryBlock, n - begin);
    const std::size_t stride = (length + kDigits - 1) / kDigits;
    std::memcpy(left, payload, stride);
    for (std::size_t plane = 0; plane < kDigits; ++plane) {
      const std::size_t first = std::min(length, plane * stride);
      const std::size_t count = std::min(length - first, stride);
      for (std::size_t k = 0; k < stride; ++k) {
        const auto third = static_cast<std::uint8_t>((left[k] * 171U) >> 9U);
        const auto digit = static_cast<std::uint8_t>(left[k] - 3 * third);
        signs[k] = static_cast<std::int8_t>((digit & 1) - (digit >> 1));
        left[k] = third;
      }
      add_levels(signs, scale, weight, sum + begin + first, count);
    }
    payload += stride;
  }
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(ternary_scale);
HWY_EXPORT(encode_ternary);
HWY_EXPORT(add_ternary);
HWY_EXPORT(draw_numbers);

constexpr std::size_t kDigitsAByte = 5;
constexpr std::size_t kLongBlock = kDigitsAByte * kBlockFloats;

class TernGrad final : public FusedMethod {
 public:
  explicit TernGrad(double clip) : clip_(clip) {}

  CompressorTraits traits() const noexcept override { return {.unbiased = clip_ <= 0}; }
  bool by_tensor() const noexcept override { return true; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return sizeof(float) + floats / kLongBlock * (kLongBlock / kDigitsAByte) +
           (floats % kLongBlock + kDigitsAByte - 1) / kDigitsAByte;
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (payload.size() != most_bytes(floats)) return false;
    float scale;
    std::memcpy(&scale, payload.data(), sizeof scale);
    if (!(scale >= 0 && std::isfinite(scale))) return false;
    const auto digits = payload.subspan(sizeof scale);
    unsigned most = 0;
    for (const std::byte digit : digits) most = std::max(most, std::to_integer<unsigned>(digit));
    if (most >= 243) return false;
    // Where there is no value any more the digits are zeros.
    const std::size_t last = floats % kLongBlock;
    const std::size_t stride = (last + kDigitsAByte - 1) / kDigitsAByte;
    for (std::size_t k = 0; k < stride; ++k) {
      auto rest = std::to_integer<unsigned>(digits[digits.size() - stride + k]);
      for (std::size_t at = k; rest > 0; at += stride, rest /= 3) {
        if (at >= last && rest % 3 != 0) return false;
      }
    }
    return true;
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    float scale;
    std::memcpy(&scale, payload.data(), sizeof scale);
    const auto* digits = reinterpret_cast<const std::uint8_t*>(payload.data() + sizeof scale);
    HWY_DYNAMIC_DISPATCH(add_ternary)(digits, scale, weight, sum.data(), sum.size());
  }

 private:
  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext context,
                                   std::span<std::byte> payload) const override {
    const float scale = HWY_DYNAMIC_DISPATCH(ternary_scale)(values.data(), residual, values.size(), clip_);
    if (scale < 0) return std::nullopt;
    std::memcpy(payload.data(), &scale, sizeof scale);
    auto* digits = reinterpret_cast<std::uint8_t*>(payload.data() + sizeof scale);
    HWY_DYNAMIC_DISPATCH(encode_ternary)(values.data(), residual, scale, context.key, digits, values.size());
    return most_bytes(values.size());
  }

  const double clip_;
};

}  // namespace

float ternary_bound(std::span<const float> values, double clip) {
  return HWY_DYNAMIC_DISPATCH(ternary_scale)(values.data(), nullptr, values.size(), clip);
}

void draw_ternary(std::span<const float> values, float bound, float share, std::uint64_t key,
                  std::span<std::int16_t> numbers) {
  HWY_DYNAMIC_DISPATCH(draw_numbers)(values.data(), bound, share, key, numbers.data(), values.size());
}

std::unique_ptr<Method> make_terngrad(const Options& options) {
  return std::make_unique<TernGrad>(options.real("compression.terngrad.clip"));
}

}  // namespace gossamer
#endif
