// Sketched updates (Konecny, McMahan, Yu, Richtarik, Suresh, Bacon: "Federated learning: strategies for
// improving communication efficiency", 2016): of the values a random share compression.sketched.density,
// scaled by its inverse so that their mean is the vector; in blocks of 4,096
// a random rotation (rotation.h), after which a few large values do not make all others coarse any more; of
// each block the least and the largest, and of each value one of 2^bits levels between them, at random so
// that the mean is the value. With error feedback values are not scaled, and each block's levels are
// multiplied by what makes them the closest in the mean: else what is left out would grow. The last block is
// padded with zeros to a power of two, at least 256. The payload is the seed of the places and the rotation
// (u64), then for each block its least value, its step and the codes, 8 / bits a byte: byte k of a block of L
// has those numbered k, k + L bits / 8, ..., the lowest bits first.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "compression/methods.h"
#include "compression/random_subset.h"
#include "compression/rotation.h"
#include "compression/sketch.h"
#include "compression/sparse_floats.h"
#include "core/checksum.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/sketched.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/rotation-inl.h"

#ifndef GOSSAMER_COMPRESSION_SKETCH
#define GOSSAMER_COMPRESSION_SKETCH
namespace gossamer {
// A block of a payload.
struct Sketch {
  std::size_t length;  // as it is padded
  int bits;
  bool rotated;
  std::uint64_t key, block;  // of its rotation
};
}  // namespace gossamer
#endif

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

// Copies `n` values times `factor`, with zeros behind up to `length`. False where one is NaN or infinite.
bool copy_scaled(const float* HWY_RESTRICT values, std::size_t n, float factor, float* HWY_RESTRICT to,
                 std::size_t length) {
  const Floats floats;
  const auto scale = hn::Set(floats, factor), most = hn::Set(floats, kMostSketched);
  auto largest = hn::Zero(Words());
  std::memset(to + n, 0, (length - n) * sizeof(float));
  const std::size_t whole = n - n % kSumLanes;
  std::memcpy(to + whole, values + whole, (n - whole) * sizeof(float));
  const auto take = [&](const float* from, std::size_t i) {
    const auto x = hn::LoadU(floats, from + i);
    largest = hn::Max(largest, magnitude_bits(x));
    hn::Store(hn::Max(hn::Min(hn::Mul(x, scale), most), hn::Neg(most)), floats, to + i);
  };
  for (std::size_t i = 0; i < whole; i += hn::Lanes(floats)) {
    __builtin_prefetch(values + i + kMostRotation);  // the next block, while this one is worked on
    take(values, i);
  }
  for (std::size_t i = whole; i < n; i += hn::Lanes(floats)) take(to, i);
  return !has_non_finite(largest);
}

// The multiple of what is decoded that is closest to the values in the mean: |x|^2 / (|x|^2 + variance). Of n
// values in levels of `step` from `low` on.
HWY_INLINE float best_multiple(const float* HWY_RESTRICT values, std::size_t n, float low, float high,
                               float step) {
  const Floats floats;
  const float largest = std::max(std::abs(low), std::abs(high));
  if (step == 0) return 1;
  const auto unit = hn::Set(floats, 1 / largest), inverse = hn::Set(floats, 1 / step);
  LaneSums squares, variances;
  for (std::size_t i = 0; i < n; i += kSumLanes) {
    for (std::size_t part = 0; part < kVectors; ++part) {
      const auto x = hn::Load(floats, values + i + part * hn::Lanes(floats));
      const auto share = hn::Mul(x, unit), level = hn::Mul(hn::Sub(x, hn::Set(floats, low)), inverse);
      const auto above = hn::Sub(level, hn::Floor(level));
      squares.add(part, hn::Mul(share, share));
      variances.add(part, hn::Mul(above, hn::Sub(hn::Set(floats, 1.0F), above)));
    }
  }
  const double size = static_cast<double>(step) / static_cast<double>(largest);
  return static_cast<float>(squares.total() / (squares.total() + size * size * variances.total()));
}

template <int bits>
HWY_INLINE void write_block(const float* HWY_RESTRICT values, std::size_t n, bool shrunk, std::uint64_t key,
                            std::uint64_t block, std::uint8_t* HWY_RESTRICT payload) {
  const Floats floats;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  constexpr std::int32_t kLevels = (1 << bits) - 1;
  auto least = hn::Load(floats, values), largest = least;
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    least = hn::Min(least, hn::Load(floats, values + i));
    largest = hn::Max(largest, hn::Load(floats, values + i));
  }
  // A zero has no sign: which of two is less depends on the processor.
  const float low = 0.0F + hn::GetLane(hn::MinOfLanes(floats, least));
  const float high = hn::GetLane(hn::MaxOfLanes(floats, largest)), range = high - low;
  const bool vanishes = range < kLeastRange;
  const float step = vanishes ? 0 : range / kLevels, inverse = vanishes ? 0 : kLevels / range;
  const float multiple = shrunk ? best_multiple(values, n, low, high, step) : 1.0F;
  const float sent[2] = {low * multiple, step * multiple};
  std::memcpy(payload, sent, sizeof sent);
  payload += sizeof sent;

  HWY_ALIGN std::uint16_t random[kRandomChunk];
  HWY_ALIGN std::uint8_t codes[kMostRotation];
  for (std::size_t i = 0; i < n; i += hn::Lanes(floats)) {
    if (i % kRandomChunk == 0)
      random_chunk(key, block * (kMostRotation / kRandomChunk) + i / kRandomChunk, random);
    const auto above =
        hn::Mul(hn::Sub(hn::Load(floats, values + i), hn::Set(floats, low)), hn::Set(floats, inverse));
    auto level = hn::Zero(Integers());
    if (!vanishes)
      level = hn::Min(round_at_random(above, random + i % kRandomChunk), hn::Set(Integers(), kLevels));
    hn::StoreU(hn::DemoteTo(bytes, level), bytes, codes + i);
  }
  const std::size_t stride = n * bits / 8;
  std::memcpy(payload, codes, stride);
  for (int j = 1; j < 8 / bits; ++j) {
    const std::uint8_t* const plane = codes + static_cast<std::size_t>(j) * stride;
    for (std::size_t k = 0; k < stride; ++k)
      payload[k] = static_cast<std::uint8_t>(payload[k] | plane[k] << (j * bits));
  }
}

void write_sketch(const float* values, std::size_t n, int bits, bool shrunk, std::uint64_t key,
                  std::uint64_t block, std::uint8_t* payload) {
  bits == 1   ? write_block<1>(values, n, shrunk, key, block, payload)
  : bits == 2 ? write_block<2>(values, n, shrunk, key, block, payload)
  : bits == 4 ? write_block<4>(values, n, shrunk, key, block, payload)
              : write_block<8>(values, n, shrunk, key, block, payload);
}

// What a payload says of n values, turned back where they were rotated: store(i, x) takes the vector from
// number i on, all in one pass over the codes and as many over a block as the rotation has stages.
template <int bits, class Store>
HWY_INLINE void read_block(const std::uint8_t* HWY_RESTRICT payload, const Sketch& sketch,
                           const Store& store) {
  const Words words;
  const hn::Rebind<std::uint8_t, Floats> bytes;
  float low, step;
  std::memcpy(&low, payload, sizeof low);
  std::memcpy(&step, payload + sizeof low, sizeof step);
  const std::uint8_t* const codes = payload + 2 * sizeof low;
  const std::size_t stride = sketch.length * bits / 8;  // a power of two
  const int log_stride = std::countr_zero(stride);
  const auto load = [&](std::size_t i) {
    const auto packed = hn::PromoteTo(words, hn::LoadU(bytes, codes + (i & (stride - 1))));
    const auto code = hn::And(hn::ShiftRightSame(packed, static_cast<int>(i >> log_stride) * bits),
                              hn::Set(words, (1U << bits) - 1));
    const auto level = hn::ConvertTo(Floats(), hn::BitCast(Integers(), code));
    return hn::Add(hn::Mul(level, hn::Set(Floats(), step)), hn::Set(Floats(), low));
  };
  if (!sketch.rotated) {
    for (std::size_t i = 0; i < sketch.length; i += kFloatLanes) store(i, load(i));
    return;
  }
  const Factors factors(sketch.key, sketch.block, sketch.length);
  HWY_ALIGN float room[kMostRotation];
  transform(room, sketch.length, load, [&](std::size_t i, FloatVector x) { store(i, factors.times(x, i)); });
}

template <class Store>
HWY_INLINE void read_any(const std::uint8_t* payload, const Sketch& sketch, const Store& store) {
  sketch.bits == 1   ? read_block<1>(payload, sketch, store)
  : sketch.bits == 2 ? read_block<2>(payload, sketch, store)
  : sketch.bits == 4 ? read_block<4>(payload, sketch, store)
                     : read_block<8>(payload, sketch, store);
}

// values = what the payload says; aligned.
void read_sketch(const std::uint8_t* payload, const Sketch& sketch, float* HWY_RESTRICT values) {
  read_any(payload, sketch, [=](std::size_t i, FloatVector x) { hn::Store(x, Floats(), values + i); });
}

// sum += weight * what the payload says.
void add_sketch(const std::uint8_t* payload, const Sketch& sketch, float weight, float* HWY_RESTRICT sum) {
  read_any(payload, sketch, [=](std::size_t i, FloatVector x) {
    __builtin_prefetch(sum + i + kMostRotation, 1);  // of the next block, while this one is worked on
    const auto added = hn::Mul(hn::Set(Floats(), weight), x);
    hn::StoreU(hn::Add(hn::LoadU(Floats(), sum + i), added), Floats(), sum + i);
  });
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(copy_scaled);
HWY_EXPORT(write_sketch);
HWY_EXPORT(read_sketch);
HWY_EXPORT(add_sketch);

class Sketched final : public Method {
 public:
  Sketched(int bits, double density, bool feedback, bool rotated)
      : bits_(bits), density_(density), feedback_(feedback), rotated_(rotated) {}

  CompressorTraits traits() const noexcept override { return {.unbiased = !feedback_}; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    const std::size_t kept = kept_values(density_, floats), last = sketch_length(kept % kMostRotation);
    return sizeof(std::uint64_t) + kept / kMostRotation * block_bytes(kMostRotation) +
           (last > 0 ? block_bytes(last) : 0);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float>, EncodeContext context,
                                    std::span<std::byte> payload) const override {
    const std::size_t n = values.size(), kept = kept_values(density_, n);
    if (kept < n && !all_finite(std::as_bytes(values))) return std::nullopt;
    std::memcpy(payload.data(), &context.key, sizeof context.key);
    auto* at = reinterpret_cast<std::uint8_t*>(payload.data()) + sizeof context.key;
    const float scale = feedback_ ? 1.0F : static_cast<float>(n) / static_cast<float>(kept);
    const Permutation place(n, context.key);
    alignas(64) float block[kMostRotation];
    alignas(64) float chosen[kMostRotation];
    for (std::size_t begin = 0, number = 0; begin < kept; begin += kMostRotation, ++number) {
      const std::size_t count = std::min(kMostRotation, kept - begin), length = sketch_length(count);
      const float* from = values.data() + begin;
      if (kept < n) {
        for (std::size_t i = 0; i < count; ++i) chosen[i] = values[place(begin + i)];
        from = chosen;
      }
      if (!HWY_DYNAMIC_DISPATCH(copy_scaled)(from, count, scale, block, length)) return std::nullopt;
      if (rotated_) rotate(block, length, context.key, number);
      HWY_DYNAMIC_DISPATCH(write_sketch)(block, length, bits_, feedback_, context.key, number, at);
      at += block_bytes(length);
    }
    return most_bytes(n);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (payload.size() != most_bytes(floats)) return false;
    const std::byte* at = payload.data() + sizeof(std::uint64_t);
    for (std::size_t kept = kept_values(density_, floats); kept > 0;) {
      const std::size_t count = std::min(kMostRotation, kept), length = sketch_length(count);
      float low, step;
      std::memcpy(&low, at, sizeof low);
      std::memcpy(&step, at + sizeof low, sizeof step);
      // Twice what a rotation gives of what is sent.
      constexpr float kMost = 0x1p107F;
      const float high = low + step * static_cast<float>((1 << bits_) - 1);
      if (!(step >= 0 && std::abs(low) <= kMost && high <= kMost)) return false;
      // Without a step there is but one code.
      if (step == 0 && std::any_of(at + 2 * sizeof low, at + block_bytes(length),
                                   [](std::byte codes) { return codes != std::byte{0}; }))
        return false;
      at += block_bytes(length);
      kept -= count;
    }
    return true;
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    std::uint64_t key;
    std::memcpy(&key, payload.data(), sizeof key);
    const auto* at = reinterpret_cast<const std::uint8_t*>(payload.data()) + sizeof key;
    const std::size_t kept = kept_values(density_, sum.size());
    const Permutation place(sum.size(), key);
    alignas(64) float block[kMostRotation];
    for (std::size_t begin = 0, number = 0; begin < kept; begin += kMostRotation, ++number) {
      const std::size_t count = std::min(kMostRotation, kept - begin), length = sketch_length(count);
      const Sketch sketch{length, bits_, rotated_, key, number};
      if (kept == sum.size() && count == length) {
        HWY_DYNAMIC_DISPATCH(add_sketch)(at, sketch, weight, sum.data() + begin);
      } else {
        HWY_DYNAMIC_DISPATCH(read_sketch)(at, sketch, block);
        if (kept == sum.size()) {
          for (std::size_t i = 0; i < count; ++i) sum[begin + i] += weight * block[i];
        } else {
          for (std::size_t i = 0; i < count; ++i) sum[place(begin + i)] += weight * block[i];
        }
      }
      at += block_bytes(length);
    }
  }

 private:
  std::size_t block_bytes(std::size_t length) const noexcept { return sketch_bytes(length, bits_); }

  const int bits_;
  const double density_;
  const bool feedback_, rotated_;
};

}  // namespace

std::unique_ptr<Method> make_sketched(const Options& options) {
  return std::make_unique<Sketched>(
      std::stoi(options.text("compression.sketched.bits")), options.real("compression.sketched.density"),
      options.text("compression.error_feedback") == "on", options.flag("compression.sketched.rotation"));
}

}  // namespace gossamer
#endif
