// Lossy floats with an absolute bound on the error, after INCEPTIONN (Li, Park, Alian, Yuan, Qu, Pan, Wang,
// Schwing, Esmaeilzadeh, Kim: "A network-centric hardware/algorithm co-design to accelerate distributed
// training of deep neural networks", MICRO 2018): every value takes 0, 8, 16 or 32 bits, which a tag of two
// bits says. The step is twice the largest power of two that is no more than compression.bounded_error.bound;
// a value is the nearest number of steps, which is off by the bound at most: 0 (0 bits), up to 127 (8) or up
// to 32,767 (16). What is larger travels as it is (32), exactly. (The paper truncates the mantissa and places
// its bits by the exponent, which hardware does at line rate; here they are whole numbers of steps.) The
// payload is for each block of 512 values the lower bits of the tags, a bit a value, then the upper ones;
// then all bodies of 8 bits, all of 16 and all of 32, each in the values' order. So those of 8 bits, which
// are nearly all, are put in their places eight at a time, by a byte of tags.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "compression/bounded_error.h"
#include "compression/methods.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/bounded_error.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

constexpr std::int32_t kMost8 = 127, kMost16 = 32767;
constexpr std::size_t kTagBytes = kBlockFloats / 8;

// Writes the values of `mask` one behind the other; what is behind them, up to a vector, is overwritten.
template <class To>
HWY_INLINE std::size_t write_narrow(hn::Vec<Integers> x, hn::Mask<Integers> mask, To* to) {
  const hn::Rebind<To, Integers> narrow;
  hn::StoreU(hn::DemoteTo(narrow, hn::Compress(x, mask)), narrow, to);
  return hn::CountTrue(Integers(), mask);
}

// A block of n values, its tags and bodies; `padded` has zeros behind them. Returns the bytes written, 0
// where a value is NaN or infinite.
HWY_INLINE std::size_t write_values(const float* HWY_RESTRICT padded, std::size_t n, float step,
                                    std::uint8_t* HWY_RESTRICT payload) {
  const Floats floats;
  const Integers integers;
  HWY_ALIGN std::uint8_t low[kTagBytes];
  HWY_ALIGN std::uint8_t high[kTagBytes];
  // A vector more than there can be.
  HWY_ALIGN std::int8_t bodies8[kBlockFloats + kSumLanes];
  HWY_ALIGN std::int16_t bodies16[kBlockFloats + kSumLanes];
  HWY_ALIGN float bodies32[kBlockFloats + kSumLanes];
  std::size_t count8 = 0, count16 = 0, count32 = 0;
  auto largest = hn::Zero(Words());
  const auto inverse = hn::Set(floats, 1 / step), most = hn::Set(floats, kMost16 + 1);
  for (std::size_t i = 0; i < n; i += kSumLanes) {
    hn::Mask<Floats> lows[kVectors], highs[kVectors];
    for (std::size_t part = 0; part < kVectors; ++part) {
      const auto x = hn::Load(floats, padded + i + part * hn::Lanes(floats));
      largest = hn::Max(largest, magnitude_bits(x));
      const auto steps = hn::Max(hn::Min(hn::Mul(x, inverse), most), hn::Neg(most));
      const auto whole = hn::NearestInt(steps);
      const auto size = hn::Abs(whole);
      const auto zero = hn::Eq(size, hn::Zero(integers));
      const auto fits8 = hn::Lt(size, hn::Set(integers, kMost8 + 1));
      const auto fits16 = hn::Lt(size, hn::Set(integers, kMost16 + 1));
      const auto of8 = hn::AndNot(zero, fits8), of16 = hn::AndNot(fits8, fits16), of32 = hn::Not(fits16);
      count8 += write_narrow(whole, of8, bodies8 + count8);
      if (HWY_UNLIKELY(!hn::AllTrue(integers, fits8))) {
        count16 += write_narrow(whole, of16, bodies16 + count16);
        hn::StoreU(hn::Compress(x, hn::RebindMask(floats, of32)), floats, bodies32 + count32);
        count32 += hn::CountTrue(integers, of32);
      }
      lows[part] = hn::RebindMask(floats, hn::Or(of8, of32));
      highs[part] = hn::RebindMask(floats, hn::Not(fits8));
    }
    store_masks(lows, low + i / 8);
    store_masks(highs, high + i / 8);
  }
  if (has_non_finite(largest)) return 0;
  const std::size_t tags = (n + 7) / 8;
  std::uint8_t* at = payload;
  const auto put = [&](const void* from, std::size_t bytes) {
    std::memcpy(at, from, bytes);
    at += bytes;
  };
  put(low, tags);
  put(high, tags);
  put(bodies8, count8);
  put(bodies16, count16 * sizeof *bodies16);
  put(bodies32, count32 * sizeof *bodies32);
  return static_cast<std::size_t>(at - payload);
}

// Of each of eight values that a byte of tags has a bit for, which one of the bodies is its own; 0x80 where
// it has none.
struct Places {
  std::uint8_t of[256][8] = {};
};
inline constexpr Places kPlaces = [] {
  Places places;
  for (unsigned tags = 0; tags < 256; ++tags) {
    std::uint8_t next = 0;
    for (unsigned i = 0; i < 8; ++i) places.of[tags][i] = (tags >> i & 1U) != 0 ? next++ : 0x80;
  }
  return places;
}();

// Puts the bodies of 8 bits at their values' places, with zeros between them. 16 bytes can be read from each.
HWY_INLINE void spread(const std::uint8_t* HWY_RESTRICT low, const std::uint8_t* HWY_RESTRICT high,
                       const std::int8_t* HWY_RESTRICT bodies, std::int8_t* HWY_RESTRICT steps,
                       std::size_t tag_bytes) {
  const hn::FixedTag<std::int8_t, 16> sixteen;
  const hn::FixedTag<std::uint8_t, 16> unsigned_sixteen;
  const hn::FixedTag<std::uint8_t, 8> eight;
  for (std::size_t k = 0; k < tag_bytes; ++k) {
    const unsigned tags = low[k] & ~static_cast<unsigned>(high[k]) & 0xFFU;
    const auto from =
        hn::BitCast(sixteen, hn::ZeroExtendVector(unsigned_sixteen, hn::LoadU(eight, kPlaces.of[tags])));
    const auto placed = hn::TableLookupBytesOr0(hn::LoadU(sixteen, bodies), from);
    hn::StoreU(placed, sixteen, steps + 8 * k);  // what is behind the eight is overwritten next
    bodies += std::popcount(tags);
  }
}

// How many values of a block there are of each kind.
struct BodyCounts {
  std::size_t of8 = 0, of16 = 0, of32 = 0;

  BodyCounts(const std::uint8_t* tags, std::size_t bytes) {
    for (std::size_t k = 0; k < bytes; k += sizeof(std::uint64_t)) {
      const std::size_t count = std::min(sizeof(std::uint64_t), bytes - k);
      std::uint64_t low = 0, high = 0;
      std::memcpy(&low, tags + k, count);
      std::memcpy(&high, tags + bytes + k, count);
      of8 += static_cast<std::size_t>(std::popcount(low & ~high));
      of16 += static_cast<std::size_t>(std::popcount(high & ~low));
      of32 += static_cast<std::size_t>(std::popcount(low & high));
    }
  }
  std::size_t bytes() const { return of8 + 2 * of16 + 4 * of32; }
};

// The payload's length; 0 where a value is NaN or infinite.
std::size_t encode_bounded(const float* values, float step, std::uint8_t* payload, std::size_t n) {
  HWY_ALIGN float padded[kBlockFloats];
  std::uint8_t* at = payload;
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin);
    std::memcpy(padded, values + begin, length * sizeof(float));
    std::memset(padded + length, 0, (kBlockFloats - length) * sizeof(float));
    const std::size_t written = write_values(padded, length, step, at);
    if (written == 0) return 0;
    at += written;
  }
  return static_cast<std::size_t>(at - payload);
}

void add_bounded(const std::uint8_t* payload, float step, float weight, float* sum, std::size_t n) {
  HWY_ALIGN std::int8_t bodies[kBlockFloats + 16];
  HWY_ALIGN std::int8_t steps[kBlockFloats + 16];
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin), tags = (length + 7) / 8;
    const BodyCounts counts(payload, tags);
    const std::uint8_t *const low = payload, *const high = low + tags;
    payload = high + tags;
    std::memcpy(bodies, payload, counts.of8);
    std::memset(bodies + counts.of8, 0, 16);
    payload += counts.of8;
    spread(low, high, bodies, steps, tags);
    float* const to = sum + begin;
    add_levels(steps, step, weight, to, length);
    if (counts.of16 + counts.of32 == 0) continue;
    const std::uint8_t *at16 = payload, *at32 = payload + counts.of16 * sizeof(std::int16_t);
    for (std::size_t k = 0; k < tags; ++k) {
      for (unsigned left = high[k]; left != 0; left &= left - 1) {
        const auto bit = static_cast<std::size_t>(std::countr_zero(left));
        float x;
        if ((low[k] >> bit & 1U) != 0) {
          std::memcpy(&x, at32, sizeof x);
          at32 += sizeof x;
        } else {
          std::int16_t own;
          std::memcpy(&own, at16, sizeof own);
          at16 += sizeof own;
          x = static_cast<float>(own) * step;
        }
        to[8 * k + bit] += weight * x;
      }
    }
    payload = at32;
  }
}

// Whether the bodies are those that an encoder writes: each in the fewest bits that it fits in.
bool are_bodies(const std::uint8_t* bodies, std::size_t count8, std::size_t count16, std::size_t count32,
                float step) {
  std::uint8_t strange = 0;
  for (std::size_t i = 0; i < count8; ++i)
    strange = static_cast<std::uint8_t>(strange | ((bodies[i] & 0x7FU) == 0 ? 1 : 0));  // 0 and -128
  bodies += count8;
  bool all = strange == 0;
  for (std::size_t i = 0; i < count16; ++i) {
    std::int16_t steps;
    std::memcpy(&steps, bodies + i * sizeof steps, sizeof steps);
    const int size = std::abs(static_cast<int>(steps));
    all &= size > kMost8 && size <= kMost16;
  }
  bodies += count16 * sizeof(std::int16_t);
  for (std::size_t i = 0; i < count32; ++i) {
    float x;
    std::memcpy(&x, bodies + i * sizeof x, sizeof x);
    all &= std::isfinite(x) && std::abs(x) / step >= kMost16 + 0.5F;
  }
  return all;
}

bool is_valid_bounded(const std::uint8_t* payload, std::size_t bytes, float step, std::size_t n) {
  for (std::size_t begin = 0; begin < n; begin += kBlockFloats) {
    const std::size_t length = std::min(kBlockFloats, n - begin), tags = (length + 7) / 8;
    if (bytes < 2 * tags) return false;
    const BodyCounts counts(payload, tags);
    // Nothing is behind the last value.
    const unsigned last = payload[tags - 1] | static_cast<unsigned>(payload[2 * tags - 1]);
    if (length % 8 != 0 && last >> (length % 8) != 0) return false;
    if (bytes - 2 * tags < counts.bytes()) return false;
    if (!are_bodies(payload + 2 * tags, counts.of8, counts.of16, counts.of32, step)) return false;
    payload += 2 * tags + counts.bytes();
    bytes -= 2 * tags + counts.bytes();
  }
  return bytes == 0;
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(encode_bounded);
HWY_EXPORT(add_bounded);
HWY_EXPORT(is_valid_bounded);

class BoundedError final : public Method {
 public:
  explicit BoundedError(double bound) : step_(bounded_error_step(bound)) {}

  CompressorTraits traits() const noexcept override { return {}; }
  bool has_fixed_length() const noexcept override { return false; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    const std::size_t rest = floats % kBlockFloats;
    return floats / kBlockFloats * (kBlockFloats / 4) + 2 * ((rest + 7) / 8) + floats * sizeof(float);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float>, EncodeContext,
                                    std::span<std::byte> payload) const override {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(payload.data());
    const std::size_t length =
        HWY_DYNAMIC_DISPATCH(encode_bounded)(values.data(), step_, bytes, values.size());
    return length > 0 ? std::optional(length) : std::nullopt;
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
    return HWY_DYNAMIC_DISPATCH(is_valid_bounded)(bytes, payload.size(), step_, floats);
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(payload.data());
    HWY_DYNAMIC_DISPATCH(add_bounded)(bytes, step_, weight, sum.data(), sum.size());
  }

 private:
  const float step_;
};

}  // namespace

std::unique_ptr<Method> make_bounded_error(const Options& options) {
  return std::make_unique<BoundedError>(options.real("compression.bounded_error.bound"));
}

}  // namespace gossamer
#endif
