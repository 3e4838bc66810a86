// eSGD (Tao, Li: "eSGD: communication efficient distributed deep learning on the edge", HotEdge 2018): of
// each tensor the share compression.esgd.density of its values, at least one, at places that stay the same
// while the loss of the sender's training falls, and otherwise are drawn again by weight. What is not sent
// adds up as a residual with momentum, r <- m r + g, m = compression.esgd.momentum; at 1 nothing of it is
// forgotten.
//
// A place's weight is the magnitude of its residual. Places are drawn by sequential Poisson sampling
// (Ohlsson, Journal of Official Statistics 1998): of u uniform in (0, 1) the places with the largest weight /
// u, which takes as many as there should be, with probabilities close to proportional to the weights.
//
// The payload is that of top_k (sparse_floats.h).
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>

#include "compression/large_values.h"
#include "compression/methods.h"
#include "compression/sparse_floats.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/esgd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

// residual <- momentum * residual + values. Returns whether all of it is finite.
bool accumulate_residual(const float* HWY_RESTRICT values, float momentum, float* HWY_RESTRICT residual,
                         std::size_t n) {
  const Floats floats;
  const auto m = hn::Set(floats, momentum);
  auto largest = hn::Zero(Words());
  const std::size_t lanes = hn::Lanes(floats), whole = n - n % lanes;
  for (std::size_t i = 0; i < whole; i += lanes) {
    const auto x = hn::Add(hn::Mul(m, hn::LoadU(floats, residual + i)), hn::LoadU(floats, values + i));
    hn::StoreU(x, floats, residual + i);
    largest = hn::Max(largest, magnitude_bits(x));
  }
  bool finite = !has_non_finite(largest);
  for (std::size_t i = whole; i < n; ++i) {
    residual[i] = momentum * residual[i] + values[i];
    finite = finite && std::isfinite(residual[i]);
  }
  return finite;
}

// ranks = |residual| / u, u with 24 bits, drawn for each; a float's largest where that is more.
void draw_ranks(const float* HWY_RESTRICT residual, std::uint64_t key, float* HWY_RESTRICT ranks,
                std::size_t n) {
  const Floats floats;
  const Integers integers;
  const auto most = hn::Set(floats, hwy::HighestValue<float>());
  const std::size_t lanes = hn::Lanes(floats);
  alignas(64) std::uint16_t high[kRandomChunk], low[kRandomChunk];
  for (std::size_t begin = 0; begin < n; begin += kRandomChunk) {
    const std::size_t chunk = begin / kRandomChunk, size = std::min(n - begin, kRandomChunk);
    random_chunk(key, 2 * chunk, high);
    random_chunk(key, 2 * chunk + 1, low);
    const std::size_t whole = size - size % lanes;
    for (std::size_t i = 0; i < whole; i += lanes) {
      const auto bits =
          hn::Add(hn::ShiftLeft<8>(random_integers(high + i)), hn::ShiftRight<8>(random_integers(low + i)));
      const auto u =
          hn::Mul(hn::ConvertTo(floats, hn::Add(bits, hn::Set(integers, 1))), hn::Set(floats, 0x1p-24F));
      const auto weight = hn::Abs(hn::LoadU(floats, residual + begin + i));
      hn::StoreU(hn::Min(hn::Div(weight, u), most), floats, ranks + begin + i);
    }
    for (std::size_t i = whole; i < size; ++i) {
      const std::uint32_t bits = (std::uint32_t{high[i]} << 8U) + (std::uint32_t{low[i]} >> 8U);
      const float u = static_cast<float>(bits + 1) * 0x1p-24F;
      ranks[begin + i] = std::min(std::abs(residual[begin + i]) / u, std::numeric_limits<float>::max());
    }
  }
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(accumulate_residual);
HWY_EXPORT(draw_ranks);

class Esgd final : public Method {
 public:
  Esgd(double density, float momentum) : density_(density), momentum_(momentum) {}

  CompressorTraits traits() const noexcept override { return {.telescopes = momentum_ == 1}; }
  bool by_tensor() const noexcept override { return true; }
  // The residual, a one at each place that is sent and zeros, and the loss of the last message.
  std::size_t state_floats(std::size_t floats) const noexcept override { return 2 * floats + 1; }
  bool has_residual() const noexcept override { return true; }
  bool has_fixed_length() const noexcept override { return false; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return most_sparse_bytes(floats, kept_values(density_, floats));
  }
  // A list, and what it is chosen from.
  std::size_t scratch_bytes(std::size_t floats) const noexcept override {
    return alignof(float) + floats * sizeof(float) + choice_bytes(floats);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) const override {
    const std::size_t n = values.size(), k = kept_values(density_, n);
    const auto residual = state.first(n), marks = state.subspan(n, n);
    if (!HWY_DYNAMIC_DISPATCH(accumulate_residual)(values.data(), momentum_, residual.data(), n))
      return std::nullopt;
    const auto loss = static_cast<float>(context.loss);
    const bool falls = loss < state.back();
    // Of a loss that is no number nothing can fall.
    state.back() = std::isfinite(loss) ? loss : std::numeric_limits<float>::lowest();

    auto sent = falls ? marked(marks, k, payload) : std::nullopt;
    if (!sent) sent = drawn(residual, k, context.key, payload);
    std::ranges::fill(marks, 0.0F);
    for (std::size_t i = 0; i < k; ++i) {
      const std::size_t at = sent->indices[i];
      sent->values[i] = residual[at];
      residual[at] = 0;
      marks[at] = 1;
    }
    return write_sparse(*sent, n, payload.data());
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    return is_valid_sparse(payload, floats, kept_values(density_, floats));
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    add_sparse(payload, kept_values(density_, sum.size()), weight, sum);
  }

 private:
  // Behind the payload: the ranks, and behind these what choose_largest() works in.
  struct Scratch {
    float* ranks;
    std::span<std::byte> room;
  };
  Scratch scratch(std::span<std::byte> payload, std::size_t n) const {
    void* behind = payload.data() + most_bytes(n);
    std::size_t bytes = scratch_bytes(n);
    auto* const ranks = static_cast<float*>(std::align(alignof(float), n * sizeof(float), behind, bytes));
    return {ranks, {reinterpret_cast<std::byte*>(ranks + n), choice_bytes(n)}};
  }

  // The places of the last message; none where there was none.
  std::optional<SparseFloats> marked(std::span<const float> marks, std::size_t k,
                                     std::span<std::byte> payload) const {
    const std::size_t n = marks.size();
    float* const listed = scratch(payload, n).ranks;
    auto* const indices = reinterpret_cast<std::uint32_t*>(listed + n + kListPadding);
    if (list_large_values(marks.data(), nullptr, n, 1, indices, listed) != k) return std::nullopt;
    return SparseFloats{{indices, k}, {listed, k}};
  }
  std::optional<SparseFloats> drawn(std::span<const float> residual, std::size_t k, std::uint64_t key,
                                    std::span<std::byte> payload) const {
    const std::size_t n = residual.size();
    const Scratch work = scratch(payload, n);
    HWY_DYNAMIC_DISPATCH(draw_ranks)(residual.data(), key, work.ranks, n);
    return choose_largest({work.ranks, n}, nullptr, k, work.room);
  }

  const double density_;
  const float momentum_;
};

}  // namespace

std::unique_ptr<Method> make_esgd(const Options& options) {
  return std::make_unique<Esgd>(options.real("compression.esgd.density"),
                                static_cast<float>(options.real("compression.esgd.momentum")));
}

}  // namespace gossamer
#endif
