// Gradient sparsification (Wangni, Wang, Liu, Zhang: "Gradient sparsification for communication-efficient
// distributed optimization", NeurIPS 2018): of each tensor the value g travels with the probability
// p = min(lambda |g|, 1), as g / p, so that the mean is the vector. Of all probabilities that keep the share
// compression.wangni.density of the values on average (at least one) these have the least variance. Those
// that are certain travel as they are; for the others g / p has the magnitude 1 / lambda, and only its sign
// travels.
//
// lambda is the paper's greedy one (its Algorithm 3), rescaled until nothing changes: 1 / lambda is the bound
// at which the certain ones and the sum of all below it, in bounds, are as many as are to be kept.
//
// With error feedback the magnitude is the mean of those that travel with it, as otherwise what is left out
// would grow from message to message.
//
// The payload is how many values travel (u32), and, where any does, the magnitude (float), a bit for each, 1
// where it is certain, a bit for each that is not, 1 where it is negative, the certain floats, and the
// indices of all (sparse_indices.h).
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>

#include "compression/large_values.h"
#include "compression/methods.h"
#include "compression/sparse_floats.h"
#include "compression/sparse_indices.h"
#include "compression/wangni_bound.h"
#include "core/rng.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/wangni.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

static_assert(kSumLanes == kSplitLanes);

// Adds to `totals` (kSplitTotals of them, in turn) the sums of magnitudes below the bound, and returns how
// many are not.
std::size_t split(const float* HWY_RESTRICT values, std::size_t n, float bound, double* HWY_RESTRICT totals) {
  const hn::CappedTag<double, kSumLanes> doubles;
  const hn::Rebind<float, decltype(doubles)> floats;
  constexpr std::size_t kParts = kSumLanes / hn::MaxLanes(doubles);
  const std::size_t lanes = hn::Lanes(doubles);
  const auto limit = hn::Set(floats, bound);
  std::size_t above = 0;
  HWY_ALIGN double sums[kSumLanes];
  for (std::size_t begin = 0; begin < n; begin += kSplitFloats) {
    const std::size_t end = std::min(n, begin + kSplitFloats), whole = end - (end - begin) % kSumLanes;
    hn::Vec<decltype(doubles)> below[kParts];
    for (auto& part : below) part = hn::Zero(doubles);
    for (std::size_t i = begin; i < whole; i += kSumLanes) {
      for (std::size_t part = 0; part < kParts; ++part) {
        const auto magnitude = hn::Abs(hn::LoadU(floats, values + i + part * lanes));
        const auto is_below = hn::Lt(magnitude, limit);
        above += lanes - hn::CountTrue(floats, is_below);
        below[part] = hn::Add(below[part], hn::PromoteTo(doubles, hn::IfThenElseZero(is_below, magnitude)));
      }
    }
    for (std::size_t part = 0; part < kParts; ++part) hn::Store(below[part], doubles, sums + part * lanes);
    for (std::size_t i = whole; i < end; ++i) {
      const float magnitude = std::abs(values[i]);
      if (magnitude < bound) {
        sums[i - whole] += static_cast<double>(magnitude);
      } else {
        ++above;
      }
    }
    for (std::size_t half = kSumLanes / 2; half > 0; half /= 2) {
      for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
    }
    totals[begin / kSplitFloats % kSplitTotals] += sums[0];
  }
  return above;
}

// Lists the values that travel, or may: where the first 16 bits of the probability do not say, and those that
// were drawn are the same. Writes whole vectors: there has to be room for kListPadding more than n.
std::size_t list_candidates(const float* HWY_RESTRICT values, std::size_t n, float bound, std::uint64_t key,
                            std::uint32_t* HWY_RESTRICT indices, float* HWY_RESTRICT listed,
                            std::int32_t* HWY_RESTRICT drawn) {
  const Floats floats;
  const Words words;
  const Integers integers;
  const auto limit = hn::Set(floats, bound), most = hn::Set(floats, 65536.0F);
  const std::size_t lanes = hn::Lanes(floats);
  alignas(64) std::uint16_t bits[kRandomChunk];
  std::size_t count = 0;
  for (std::size_t begin = 0; begin < n; begin += kRandomChunk) {
    random_chunk(key, begin / kRandomChunk, bits);
    const std::size_t size = std::min(n - begin, kRandomChunk), whole = size - size % lanes;
    for (std::size_t i = 0; i < whole; i += lanes) {
      const auto x = hn::LoadU(floats, values + begin + i);
      const auto p = hn::Min(hn::Mul(hn::Div(hn::Abs(x), limit), most), most);
      const auto random = random_integers(bits + i);
      const auto stays = hn::Not(hn::Gt(random, hn::ConvertTo(integers, p)));
      if (hn::AllFalse(integers, stays)) continue;
      const auto numbers = hn::Iota(words, static_cast<std::uint32_t>(begin + i));
      hn::StoreU(hn::Compress(x, hn::RebindMask(floats, stays)), floats, listed + count);
      hn::StoreU(hn::Compress(random, stays), integers, drawn + count);
      hn::StoreU(hn::Compress(numbers, hn::RebindMask(words, stays)), words, indices + count);
      count += hn::CountTrue(integers, stays);
    }
    for (std::size_t i = whole; i < size; ++i) {
      const float x = values[begin + i];
      const float p = std::min(std::abs(x) / bound * 65536.0F, 65536.0F);
      if (static_cast<std::int32_t>(bits[i]) > static_cast<std::int32_t>(p)) continue;
      listed[count] = x;
      drawn[count] = static_cast<std::int32_t>(bits[i]);
      indices[count++] = static_cast<std::uint32_t>(begin + i);
    }
  }
  return count;
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(split);
HWY_EXPORT(list_candidates);

MagnitudeSplit split_at(std::span<const float> values, float bound) {
  double totals[kSplitTotals] = {};
  const std::size_t above = HWY_DYNAMIC_DISPATCH(split)(values.data(), values.size(), bound, totals);
  MagnitudeSplit result{0, above};
  for (const double total : totals) result.below += total;
  return result;
}

std::size_t bytes_of_bits(std::size_t bits) noexcept { return (bits + 7) / 8; }

bool bit_of(std::span<const std::byte> bits, std::size_t i) noexcept {
  return (std::to_integer<unsigned>(bits[i / 8]) >> (i % 8) & 1U) != 0;
}

// Whether there is nothing behind so many bits.
bool ends_after(std::span<const std::byte> bits, std::size_t count) noexcept {
  return count % 8 == 0 || std::to_integer<unsigned>(bits[count / 8]) >> (count % 8) == 0;
}

// A payload's parts.
struct Parts {
  std::size_t count = 0, certain = 0;
  float magnitude = 0;
  std::span<const std::byte> flags, signs, floats, indices;

  float certain_value(std::size_t i) const noexcept {
    float value;
    std::memcpy(&value, floats.data() + i * sizeof value, sizeof value);
    return value;
  }
};

class Wangni final : public Method {
 public:
  Wangni(double density, bool unbiased) : density_(density), unbiased_(unbiased) {}

  CompressorTraits traits() const noexcept override {
    return {.unbiased = unbiased_, .norm_nonincreasing = !unbiased_};
  }
  bool by_tensor() const noexcept override { return true; }
  bool has_fixed_length() const noexcept override { return false; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return sizeof(Count) + sizeof(float) + 2 * bytes_of_bits(floats) + floats * sizeof(float) +
           IndexCode::most_bytes(floats);
  }
  std::size_t scratch_bytes(std::size_t floats) const noexcept override {
    return alignof(float) + 3 * (floats + kListPadding) * sizeof(float);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float>, EncodeContext context,
                                    std::span<std::byte> payload) const override {
    const std::size_t n = values.size();
    const auto bound = bound_of(values);
    if (!bound) return std::nullopt;
    const std::size_t list = n + kListPadding;
    void* behind = payload.data() + most_bytes(n);
    std::size_t room = scratch_bytes(n);
    auto* const listed =
        static_cast<float*>(std::align(alignof(float), 3 * list * sizeof(float), behind, room));
    auto* const indices = reinterpret_cast<std::uint32_t*>(listed + list);
    auto* const drawn = reinterpret_cast<std::int32_t*>(indices + list);
    // Where nothing is above zero, nothing travels.
    const std::size_t candidates = *bound == 0
                                       ? 0
                                       : HWY_DYNAMIC_DISPATCH(list_candidates)(
                                             values.data(), n, *bound, context.key, indices, listed, drawn);
    std::size_t count = 0;
    for (std::size_t i = 0; i < candidates; ++i) {
      if (!travels(listed[i], *bound, drawn[i], context.key, indices[i])) continue;
      listed[count] = listed[i];
      indices[count++] = indices[i];
    }
    return write({{indices, count}, {listed, count}}, *bound, n, payload);
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    const auto parts = parts_of(payload, floats);
    if (!parts) return false;
    if (parts->count == 0) return true;
    if (!std::isfinite(parts->magnitude) || parts->magnitude <= 0 ||
        !ends_after(parts->flags, parts->count) || !ends_after(parts->signs, parts->count - parts->certain))
      return false;
    for (std::size_t i = 0; i < parts->certain; ++i) {
      if (!std::isfinite(parts->certain_value(i))) return false;
    }
    const IndexCode code(floats, parts->count);
    IndexCode::Reader reader(code, parts->indices);
    for (std::size_t i = 0; i < parts->count; ++i) {
      if (!reader.next()) return false;
    }
    return reader.is_at_end();
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    const Parts parts = *parts_of(payload, sum.size());
    if (parts.count == 0) return;
    const IndexCode code(sum.size(), parts.count);
    IndexCode::Reader reader(code, parts.indices);
    const float magnitudes[2] = {weight * parts.magnitude, weight * -parts.magnitude};
    std::size_t certain = 0;
    for (std::size_t i = 0; i < parts.count; ++i) {
      float& place = sum[*reader.next()];
      // Few values are certain; signs nobody foresees.
      if (bit_of(parts.flags, i)) [[unlikely]] {
        place += weight * parts.certain_value(certain++);
      } else {
        place += magnitudes[bit_of(parts.signs, i - certain) ? 1 : 0];
      }
    }
  }

 private:
  using Count = std::uint32_t;

  // 1 / lambda; 0 where all values are zeros, none where one is NaN or infinite.
  std::optional<float> bound_of(std::span<const float> values) const {
    const double kept = BoundSearch::kept_of(density_, values.size());
    BoundSearch search;
    const MagnitudeSplit all = split_at(values, search.bound);
    if (all.above > 0) return std::nullopt;
    search.take(all, density_, kept);
    while (search.found == 0) search.take(split_at(values, search.bound), density_, kept);
    return search.bound;
  }

  // Of a value with these first bits drawn; the others are drawn where they count.
  static bool travels(float value, float bound, std::int32_t drawn, std::uint64_t key, std::uint32_t index) {
    const float magnitude = std::abs(value);
    if (magnitude >= bound) return true;
    const float p = magnitude / bound * 65536.0F;
    const auto first = static_cast<std::int32_t>(p);
    if (drawn != first) return drawn < first;
    return Rng(key, Purpose::compression, index).uniform_float() < p - static_cast<float>(first);
  }

  std::size_t write(const SparseFloats& sent, float bound, std::size_t floats,
                    std::span<std::byte> payload) const {
    const auto count = static_cast<Count>(sent.indices.size());
    std::byte* out = payload.data();
    std::memcpy(out, &count, sizeof count);
    out += sizeof count;
    if (count == 0) return sizeof count;
    const auto is_certain = [&](float value) { return std::abs(value) >= bound; };
    const MagnitudeSplit sides = split_at(sent.values, bound);
    const std::size_t certain = sides.above;

    float magnitude = bound;
    if (!unbiased_ && certain < count)
      magnitude = static_cast<float>(sides.below / static_cast<double>(count - certain));
    std::memcpy(out, &magnitude, sizeof magnitude);
    out += sizeof magnitude;

    std::byte* const signs = out + bytes_of_bits(count);
    std::byte* floats_out = signs + bytes_of_bits(count - certain);
    std::fill(out, floats_out, std::byte{0});
    std::size_t uncertain = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const float x = sent.values[i];
      if (is_certain(x)) {
        out[i / 8] |= static_cast<std::byte>(1U << (i % 8));
        std::memcpy(floats_out, &x, sizeof x);
        floats_out += sizeof x;
      } else {
        if (x < 0) signs[uncertain / 8] |= static_cast<std::byte>(1U << (uncertain % 8));
        ++uncertain;
      }
    }
    floats_out += IndexCode(floats, count).encode(sent.indices, floats_out);
    return static_cast<std::size_t>(floats_out - payload.data());
  }

  // None where they are not all there.
  static std::optional<Parts> parts_of(std::span<const std::byte> payload, std::size_t floats) noexcept {
    Parts parts;
    const auto take = [&](std::size_t size) -> std::optional<std::span<const std::byte>> {
      if (payload.size() < size) return std::nullopt;
      const auto taken = payload.first(size);
      payload = payload.subspan(size);
      return taken;
    };
    const auto number = take(sizeof(Count));
    if (!number) return std::nullopt;
    Count count;
    std::memcpy(&count, number->data(), sizeof count);
    parts.count = count;
    if (count > floats) return std::nullopt;
    if (count == 0) return payload.empty() ? std::optional(parts) : std::nullopt;
    const auto magnitude = take(sizeof(float));
    const auto flags = take(bytes_of_bits(count));
    if (!magnitude || !flags) return std::nullopt;
    std::memcpy(&parts.magnitude, magnitude->data(), sizeof(float));
    parts.flags = *flags;
    for (const std::byte byte : *flags)
      parts.certain += static_cast<std::size_t>(std::popcount(std::to_integer<unsigned>(byte)));
    if (parts.certain > count) return std::nullopt;
    const auto signs = take(bytes_of_bits(count - parts.certain));
    const auto values = take(parts.certain * sizeof(float));
    if (!signs || !values) return std::nullopt;
    parts.signs = *signs;
    parts.floats = *values;
    parts.indices = payload;
    return parts;
  }

  const double density_;
  const bool unbiased_;
};

}  // namespace

std::unique_ptr<Method> make_wangni(const Options& options) {
  return std::make_unique<Wangni>(options.real("compression.wangni.density"),
                                  options.text("compression.error_feedback") != "on");
}

}  // namespace gossamer
#endif
