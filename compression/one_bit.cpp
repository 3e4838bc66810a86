// 1-bit SGD (Seide, Fu, Droppo, Li, Yu: "1-bit stochastic gradient descent and its application to
// data-parallel distributed training of speech DNNs", Interspeech 2014): of each value its sign, of each
// block the mean of either side. A block's payload is the two means (that of the values below zero first),
// then a bit a value, 1 where it is at least zero.
#include <cmath>
#include <cstring>

#include "compression/methods.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/one_bit.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

// What a block comes to, and whether all of it was finite.
struct OneBitSums {
  LaneSums below, above;
  std::size_t count_above = 0;
};

// n is a multiple of kSumLanes; values from `counted` on are no part of the block. With `residual` the values
// are values + residual, which is where they are left.
HWY_INLINE void write_signs(const float* HWY_RESTRICT values, float* HWY_RESTRICT residual,
                            std::uint8_t* HWY_RESTRICT bits, std::size_t n, OneBitSums& sums) {
  const Floats floats;
  const auto zero = hn::Zero(floats);
  for (std::size_t i = 0; i < n; i += kSumLanes) {
    hn::Mask<Floats> masks[kVectors];
    for (std::size_t part = 0; part < kVectors; ++part) {
      const std::size_t at = i + part * hn::Lanes(floats);
      auto x = hn::LoadU(floats, values + at);
      if (residual != nullptr) {
        x = hn::Add(x, hn::LoadU(floats, residual + at));
        hn::StoreU(x, floats, residual + at);
      }
      masks[part] = hn::Ge(x, zero);
      sums.above.add(part, hn::IfThenElseZero(masks[part], x));
      sums.below.add(part, hn::IfThenZeroElse(masks[part], x));
      sums.count_above += hn::CountTrue(floats, masks[part]);
    }
    store_masks(masks, bits + i / 8);
  }
}

// sum += the value of each bit: of zeros the first, of ones the second.
HWY_INLINE void add_signs(const std::uint8_t* HWY_RESTRICT bits, float below, float above,
                          float* HWY_RESTRICT sum, std::size_t n) {
  const Floats floats;
  const auto low = hn::Set(floats, below), high = hn::Set(floats, above);
  for (std::size_t i = 0; i < n; i += kSumLanes) {
    for (std::size_t part = 0; part < kVectors; ++part) {
      const std::size_t at = i + part * hn::Lanes(floats);
      const auto value = hn::IfThenElse(load_mask(bits + i / 8, part), high, low);
      hn::StoreU(hn::Add(hn::LoadU(floats, sum + at), value), floats, sum + at);
    }
  }
}

void add_one_bit(const std::uint8_t* bits, float below, float above, float* sum, std::size_t n) {
  const std::size_t whole = n - n % kSumLanes, rest = n - whole;
  add_signs(bits, below, above, sum, whole);
  if (rest == 0) return;
  std::uint8_t in[2] = {};
  HWY_ALIGN float out[kSumLanes] = {};
  std::memcpy(in, bits + whole / 8, (rest + 7) / 8);
  std::memcpy(out, sum + whole, rest * sizeof(float));
  add_signs(in, below, above, out, kSumLanes);
  std::memcpy(sum + whole, out, rest * sizeof(float));
}

bool encode_one_bit(const float* values, float* residual, std::uint8_t* payload, std::size_t n) {
  OneBitSums sums;
  std::uint8_t* const bits = payload + 2 * sizeof(float);
  const std::size_t whole = n - n % kSumLanes, rest = n - whole;
  write_signs(values, residual, bits, whole, sums);
  if (rest > 0) {
    HWY_ALIGN float x[kSumLanes] = {};
    HWY_ALIGN float e[kSumLanes] = {};
    std::uint8_t out[2];
    std::memcpy(x, values + whole, rest * sizeof(float));
    if (residual != nullptr) std::memcpy(e, residual + whole, rest * sizeof(float));
    write_signs(x, residual == nullptr ? nullptr : e, out, kSumLanes, sums);
    sums.count_above -= kSumLanes - rest;  // zeros, which count as above
    if (residual != nullptr) std::memcpy(residual + whole, e, rest * sizeof(float));
    if (rest % 8 != 0) out[rest / 8] = static_cast<std::uint8_t>(out[rest / 8] & ((1U << (rest % 8)) - 1U));
    std::memcpy(bits + whole / 8, out, (rest + 7) / 8);
  }
  const std::size_t count_below = n - sums.count_above;
  const double total_below = sums.below.total(), total_above = sums.above.total();
  if (!std::isfinite(total_below) || !std::isfinite(total_above)) return false;
  const auto mean = [](double total, std::size_t count) {
    return count == 0 ? 0.0F : static_cast<float>(total / static_cast<double>(count));
  };
  const float means[2] = {mean(total_below, count_below), mean(total_above, sums.count_above)};
  std::memcpy(payload, means, sizeof means);
  if (residual != nullptr) add_one_bit(bits, -means[0], -means[1], residual, n);
  return true;
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(encode_one_bit);
HWY_EXPORT(add_one_bit);

constexpr std::size_t kMeans = 2 * sizeof(float);

class OneBit final : public FusedMethod {
 public:
  explicit OneBit(std::size_t block) : block_(block) {}

  CompressorTraits traits() const noexcept override { return {.norm_nonincreasing = true}; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return floats / block_ * block_bytes(block_) + (floats % block_ > 0 ? block_bytes(floats % block_) : 0);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (payload.size() != most_bytes(floats)) return false;
    const std::byte* at = payload.data();
    for (std::size_t begin = 0; begin < floats; begin += block_) {
      const std::size_t length = std::min(block_, floats - begin);
      float means[2];
      std::memcpy(means, at, sizeof means);
      if (!std::isfinite(means[0]) || !std::isfinite(means[1])) return false;
      at += block_bytes(length);
      if (length % 8 != 0 && (std::to_integer<unsigned>(at[-1]) >> (length % 8)) != 0) return false;
    }
    return true;
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    const auto* at = reinterpret_cast<const std::uint8_t*>(payload.data());
    for (std::size_t begin = 0; begin < sum.size(); begin += block_) {
      const std::size_t length = std::min(block_, sum.size() - begin);
      float means[2];
      std::memcpy(means, at, sizeof means);
      HWY_DYNAMIC_DISPATCH(add_one_bit)
      (at + kMeans, weight * means[0], weight * means[1], sum.data() + begin, length);
      at += block_bytes(length);
    }
  }

 private:
  static std::size_t block_bytes(std::size_t floats) noexcept { return kMeans + (floats + 7) / 8; }

  std::optional<std::size_t> write(std::span<const float> values, float* residual, EncodeContext,
                                   std::span<std::byte> payload) const override {
    auto* at = reinterpret_cast<std::uint8_t*>(payload.data());
    for (std::size_t begin = 0; begin < values.size(); begin += block_) {
      const std::size_t length = std::min(block_, values.size() - begin);
      if (!HWY_DYNAMIC_DISPATCH(encode_one_bit)(values.data() + begin,
                                                residual == nullptr ? nullptr : residual + begin, at, length))
        return std::nullopt;
      at += block_bytes(length);
    }
    return most_bytes(values.size());
  }

  const std::size_t block_;
};

}  // namespace

std::unique_ptr<Method> make_one_bit(const Options& options) {
  return std::make_unique<OneBit>(static_cast<std::size_t>(options.integer("compression.one_bit.block")));
}

}  // namespace gossamer
#endif
