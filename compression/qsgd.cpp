// QSGD (Alistarh, Grubic, Li, Tomioka, Vojnovic: "QSGD: communication-efficient SGD via gradient quantization
// and encoding", NIPS 2017): of each bucket of 512 values the norm, of each value its sign and one of the
// levels 0, 1/s, ..., 1 of the norm, at random so that the mean is the value. With b bits a value, s = 2^(b -
// 1) - 1. A bucket's payload is norm / s, then its codes (level, and the sign above it), 8 / b a byte: byte k
// of a bucket of 512 has those numbered k, k + 512 b / 8, ..., the lowest bits first. In a shorter bucket the
// step is its length times b / 8, rounded up.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "compression/methods.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/qsgd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

// Of a bucket, in multiples of its largest magnitude, whose squares cannot overflow.
HWY_INLINE double bucket_norm(const float* HWY_RESTRICT values, float largest) {
  const Floats floats;
  const auto inverse = hn::Set(floats, 1 / largest);
  LaneSums squares;
  for (std::size_t i = 0; i < kBlockFloats; i += kSumLanes) {
    for (std::size_t part = 0; part < kVectors; ++part) {
      const auto x = hn::Mul(hn::LoadU(floats, values + i + part * hn::Lanes(floats)), inverse);
      squares.add(part, hn::Mul(x, x));
    }
  }
  return std::sqrt(squares.total());
}

template <int bits>
HWY_INLINE void bucket_codes(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual, float unit,
                             float inverse, const std::uint16_t* random, std::uint8_t* HWY_RESTRICT codes,
                             std::size_t n) {
  const Floats floats;
  const Integers integers;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  const auto most = hn::Set(integers, (1 << (bits - 1)) - 1);
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    const auto x = hn::LoadU(floats, values + i);
    const auto level =
        hn::Min(most, round_at_random(hn::Mul(hn::Abs(x), hn::Set(floats, inverse)), random + i));
    if (residual != nullptr) {
      const auto sent = hn::CopySign(hn::Mul(hn::ConvertTo(floats, level), hn::Set(floats, unit)), x);
      hn::StoreU(hn::Sub(x, sent), floats, residual + i);
    }
    // Zero has no sign.
    const auto negative =
        hn::And(hn::RebindMask(integers, hn::Lt(x, hn::Zero(floats))), hn::Gt(level, hn::Zero(integers)));
    const auto sign = hn::IfThenElseZero(negative, hn::Set(integers, 1 << (bits - 1)));
    hn::StoreU(hn::DemoteTo(bytes, hn::Or(level, sign)), bytes, codes + i);
  }
}

// A bucket of n <= kBlockFloats values, number `bucket` of its piece. False where one is NaN or infinite.
template <int bits>
HWY_INLINE bool encode_bucket(const float* values, float* residual, bool euclidean, std::uint64_t key,
                              std::uint64_t bucket, std::uint8_t* payload, std::size_t n) {
  HWY_ALIGN std::uint16_t random[kBlockFloats];
  HWY_ALIGN std::uint8_t codes[kBlockFloats];
  HWY_ALIGN float padded[kBlockFloats];
  HWY_ALIGN float left[kBlockFloats];
  const bool is_short = n < kBlockFloats;
  float* const own = residual;
  if (is_short) {
    std::memset(padded, 0, sizeof padded);
    std::memset(left, 0, sizeof left);
    std::memcpy(padded, values, n * sizeof(float));
    if (residual != nullptr) std::memcpy(left, residual, n * sizeof(float));
    values = padded;
    if (residual != nullptr) residual = left;
  }
  const auto magnitudes = largest_magnitude(values, residual, kBlockFloats, hn::Zero(Words()));
  if (has_non_finite(magnitudes)) return false;
  const float largest = largest_lane(magnitudes);
  const bool vanishes = largest < 0x1p-100F;  // counts as zeros: 1 / unit would overflow
  float norm = largest;
  if (euclidean && !vanishes) {
    const double exact =
        bucket_norm(residual == nullptr ? values : residual, largest) * static_cast<double>(largest);
    norm = static_cast<float>(std::min(exact, 0x1p126));
  }
  const auto most = static_cast<float>((1 << (bits - 1)) - 1);
  const float unit = vanishes ? 0 : norm / most;
  random_chunk(key, bucket, random);
  bucket_codes<bits>(residual == nullptr ? values : residual, residual, unit, vanishes ? 0 : most / norm,
                     random, codes, kBlockFloats);
  if (is_short && residual != nullptr) std::memcpy(own, left, n * sizeof(float));
  std::memcpy(payload, &unit, sizeof unit);
  payload += sizeof unit;
  const auto a_byte = static_cast<std::size_t>(8 / bits);
  const std::size_t stride = (n + a_byte - 1) / a_byte;
  if (is_short) std::memset(codes + n, 0, kBlockFloats - n);  // what is behind the last value
  std::memcpy(payload, codes, stride);
  for (std::size_t j = 1; j < a_byte; ++j) {
    const std::uint8_t* const plane = codes + j * stride;
    const std::size_t count = std::min(stride, kBlockFloats - j * stride);
    const int shift = static_cast<int>(j) * bits;
    for (std::size_t k = 0; k < count; ++k)
      payload[k] = static_cast<std::uint8_t>(payload[k] | plane[k] << shift);
  }
  return true;
}

template <int bits>
HWY_INLINE void add_bucket(const std::uint8_t* payload, float weight, float* sum, std::size_t n) {
  HWY_ALIGN std::int8_t levels[kBlockFloats];
  float unit;
  std::memcpy(&unit, payload, sizeof unit);
  payload += sizeof unit;
  const auto a_byte = static_cast<std::size_t>(8 / bits);
  const std::size_t stride = (n + a_byte - 1) / a_byte;
  const auto sign = static_cast<std::uint8_t>(1 << (bits - 1));
  const auto magnitude = static_cast<std::uint8_t>(sign - 1);
  for (std::size_t j = 0; j < a_byte; ++j) {
    std::int8_t* const plane = levels + j * stride;
    const std::size_t first = std::min(n, j * stride), count = std::min(stride, n - first);
    const int shift = static_cast<int>(j) * bits;
    for (std::size_t k = 0; k < count; ++k) {
      const auto code = static_cast<std::uint8_t>(payload[k] >> shift);
      const auto level = static_cast<std::int8_t>(code & magnitude);
      plane[k] = static_cast<std::int8_t>((code & sign) != 0 ? -level : level);
    }
  }
  add_levels(levels, unit, weight, sum, n);
}

template <int bits>
HWY_INLINE std::size_t bucket_bytes(std::size_t n) {
  const auto a_byte = static_cast<std::size_t>(8 / bits);
  return sizeof(float) + (n + a_byte - 1) / a_byte;
}

template <int bits>
HWY_INLINE bool encode_buckets(const float* values, float* residual, bool euclidean, std::uint64_t key,
                               std::uint8_t* payload, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin);
    if (!encode_bucket<bits>(values + begin, residual == nullptr ? nullptr : residual + begin, euclidean, key,
                             begin / kBlockFloats, payload, length))
      return false;
    payload += bucket_bytes<bits>(length);
  }
  return true;
}

template <int bits>
HWY_INLINE void add_buckets(const std::uint8_t* payload, float weight, float* sum, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin);
    add_bucket<bits>(payload, weight, sum + begin, length);
    payload += bucket_bytes<bits>(length);
  }
}

// Of the right length. No zero has a sign, and nothing is behind the last value.
template <int bits>
HWY_INLINE bool are_valid(const std::uint8_t* payload, std::size_t n) {
  const auto a_byte = static_cast<std::size_t>(8 / bits);
  const auto mask = static_cast<std::uint8_t>((1 << bits) - 1),
             negative_zero = static_cast<std::uint8_t>(1 << (bits - 1));
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin);
    float unit;
    std::memcpy(&unit, payload, sizeof unit);
    if (!(unit >= 0 && std::isfinite(unit * 128))) return false;
    const std::uint8_t* const codes = payload + sizeof unit;
    const std::size_t stride = (length + a_byte - 1) / a_byte;
    std::uint8_t strange = 0;
    for (std::size_t j = 0; j < a_byte; ++j) {
      const std::size_t first = std::min(length, j * stride), count = std::min(stride, length - first);
      const int shift = static_cast<int>(j) * bits;
      for (std::size_t k = 0; k < count; ++k) {
        const auto code = static_cast<std::uint8_t>((codes[k] >> shift) & mask);
        strange = static_cast<std::uint8_t>(strange | (code == negative_zero ? 1 : 0));
      }
      for (std::size_t k = count; k < stride; ++k)
        strange = static_cast<std::uint8_t>(strange | ((codes[k] >> shift) & mask));
    }
    if (strange != 0) return false;
    payload += bucket_bytes<bits>(length);
  }
  return true;
}

bool encode_qsgd(const float* values, float* residual, int bits, bool euclidean, std::uint64_t key,
                 std::uint8_t* payload, std::size_t n) {
  return bits == 2   ? encode_buckets<2>(values, residual, euclidean, key, payload, n)
         : bits == 4 ? encode_buckets<4>(values, residual, euclidean, key, payload, n)
                     : encode_buckets<8>(values, residual, euclidean, key, payload, n);
}

void add_qsgd(const std::uint8_t* payload, int bits, float weight, float* sum, std::size_t n) {
  bits == 2   ? add_buckets<2>(payload, weight, sum, n)
  : bits == 4 ? add_buckets<4>(payload, weight, sum, n)
              : add_buckets<8>(payload, weight, sum, n);
}

bool is_valid_qsgd(const std::uint8_t* payload, int bits, std::size_t n) {
  return bits == 2   ? are_valid<2>(payload, n)
         : bits == 4 ? are_valid<4>(payload, n)
                     : are_valid<8>(payload, n);
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(encode_qsgd);
HWY_EXPORT(add_qsgd);
HWY_EXPORT(is_valid_qsgd);

class Qsgd final : public FusedMethod {
 public:
  Qsgd(int bits, bool euclidean) : bits_(bits), euclidean_(euclidean) {}

  CompressorTraits traits() const noexcept override { return {.unbiased = true}; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    const auto a_byte = static_cast<std::size_t>(8 / bits_);
    const std::size_t rest = floats % kBlockFloats;
    return floats / kBlockFloats * (sizeof(float) + kBlockFloats / a_byte) +
           (rest > 0 ? sizeof(float) + (rest + a_byte - 1) / a_byte : 0);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
    return payload.size() == most_bytes(floats) && HWY_DYNAMIC_DISPATCH(is_valid_qsgd)(bytes, bits_, floats);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
    HWY_DYNAMIC_DISPATCH(add_qsgd)(bytes, bits_, weight, sum.data(), sum.size());
  }

 private:
  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext context,
                                   std::span<std::byte> payload) const override {
    auto* bytes = reinterpret_cast<std::uint8_t*>(payload.data());
    const bool finite = HWY_DYNAMIC_DISPATCH(encode_qsgd)(values.data(), residual, bits_, euclidean_,
                                                          context.key, bytes, values.size());
    return finite ? std::optional(most_bytes(values.size())) : std::nullopt;
  }

  const int bits_;
  const bool euclidean_;
};

}  // namespace

std::unique_ptr<Method> make_qsgd(const Options& options) {
  return std::make_unique<Qsgd>(std::stoi(options.text("compression.qsgd.bits")),
                                options.text("compression.qsgd.norm") == "l2");
}

}  // namespace gossamer
#endif
