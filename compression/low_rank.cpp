// Low-rank structured updates (Konecny, McMahan, Yu, Richtarik, Suresh, Bacon: "Federated learning:
// strategies for improving communication efficiency", 2016): a tensor is a matrix of its first dimension by
// the others and travels as H = A B, of which A, of compression.low_rank.rank columns, is random and follows
// from a seed. The paper trains B; here B follows from the update M. A has one number in each row, 1 or -1,
// in columns that a random permutation gives as equal shares of the rows (a count sketch: Charikar, Chen,
// Farach-Colton, 2002): so M is read once whatever the rank, and A's columns are orthogonal.
// With error feedback, as by default, B = (A^T A)^-1 A^T M: H is M's orthogonal projection, and what is left
// out comes with other seeds. Without it B = A^T M: as E[A A^T] = I the mean of H is M, but its variance is
// that of rows / rank - 1 other rows. The payload is the seed (u64), then B row by row. A vector, and a
// matrix of which that would not be fewer bytes, travels as it is.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "compression/matrix.h"
#include "compression/methods.h"
#include "compression/random_subset.h"
#include "core/checksum.h"
#include "core/simd.h"

namespace gossamer {
namespace {

// What B has in a panel of columns: worked on in the first cache.
constexpr std::size_t kPanelFloats = 8192;

GOSSAMER_MULTIVERSION
void add_multiple(const float* __restrict values, float factor, float* __restrict sum, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) sum[j] += factor * values[j];
}

// The random matrix of a seed.
class SignMatrix {
 public:
  SignMatrix(std::size_t rows, std::size_t rank, std::uint64_t seed)
      : rows_(rows), rank_(rank), seed_(seed), place_(rows, seed) {}

  std::size_t column(std::size_t row) const noexcept { return place_(row) % rank_; }
  float sign(std::size_t row) const noexcept {
    return (mixed_bits(seed_ ^ 0x9E3779B97F4A7C15U * (row + 1)) >> 63U) != 0 ? -1.0F : 1.0F;
  }
  std::size_t rows_of(std::size_t column) const noexcept {
    return rows_ / rank_ + (column < rows_ % rank_ ? 1 : 0);
  }

 private:
  std::size_t rows_, rank_;
  std::uint64_t seed_;
  Permutation place_;
};

class LowRank final : public Method {
 public:
  LowRank(std::size_t rank, bool projects, std::span<const std::int64_t> shape)
      : rank_(rank), projects_(projects), shape_(shape) {}

  CompressorTraits traits() const noexcept override {
    return {.linear = true, .unbiased = !projects_, .norm_nonincreasing = projects_};
  }
  bool by_tensor() const noexcept override { return true; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return factorizes(floats) ? factor_bytes() : dense_->most_bytes(floats);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) const override {
    if (!factorizes(values.size())) return dense_->encode(values, state, context, payload);
    std::memcpy(payload.data(), &context.key, sizeof context.key);
    const SignMatrix a(shape_.rows, rank_, context.key);
    float own[kPanelFloats];
    for (std::size_t begin = 0; begin < shape_.columns; begin += panel_columns()) {
      const std::size_t count = std::min(panel_columns(), shape_.columns - begin);
      const std::span<float> b(own, rank_ * count);
      sum_rows(values, a, begin, 1, b);
      float scale = 1;
      if (!all_finite(std::as_bytes(b))) {
        if (!all_finite(std::as_bytes(values))) return std::nullopt;
        scale = 0x1p-40F;  // the sum was too large for a float
        sum_rows(values, a, begin, scale, b);
      }
      for (std::size_t k = 0; k < rank_; ++k) {
        const float divisor = scale * (projects_ ? static_cast<float>(a.rows_of(k)) : 1.0F);
        for (float& x : b.subspan(k * count, count)) x = std::clamp(x / divisor, -kMost, kMost);
        std::memcpy(at(payload, k, begin), &b[k * count], count * sizeof(float));
      }
    }
    return factor_bytes();
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (!factorizes(floats)) return dense_->is_valid(payload, floats);
    return payload.size() == factor_bytes() && all_finite(payload.subspan(sizeof(std::uint64_t)));
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    if (!factorizes(sum.size())) return dense_->add(payload, weight, sum);
    std::uint64_t seed;
    std::memcpy(&seed, payload.data(), sizeof seed);
    const SignMatrix a(shape_.rows, rank_, seed);
    float b[kPanelFloats];
    for (std::size_t begin = 0; begin < shape_.columns; begin += panel_columns()) {
      const std::size_t count = std::min(panel_columns(), shape_.columns - begin);
      for (std::size_t k = 0; k < rank_; ++k)
        std::memcpy(b + k * count, at(payload, k, begin), count * sizeof(float));
      for (std::size_t i = 0; i < shape_.rows; ++i)
        add_multiple(b + a.column(i) * count, weight * a.sign(i), &sum[i * shape_.columns + begin], count);
    }
  }

 private:
  static constexpr float kMost = std::numeric_limits<float>::max();

  std::size_t factor_bytes() const noexcept {
    return sizeof(std::uint64_t) + rank_ * shape_.columns * sizeof(float);
  }
  bool factorizes(std::size_t floats) const noexcept {
    return floats == shape_.floats() && factor_bytes() < floats * sizeof(float);
  }
  std::size_t panel_columns() const noexcept { return kPanelFloats / rank_; }
  // Where B's row k has the column `begin`.
  template <class Byte>
  Byte* at(std::span<Byte> payload, std::size_t k, std::size_t begin) const noexcept {
    return payload.data() + sizeof(std::uint64_t) + (k * shape_.columns + begin) * sizeof(float);
  }

  // b = scale A^T M of a panel's columns, from `begin` on.
  void sum_rows(std::span<const float> values, const SignMatrix& a, std::size_t begin, float scale,
                std::span<float> b) const {
    const std::size_t count = b.size() / rank_;
    std::ranges::fill(b, 0.0F);
    for (std::size_t i = 0; i < shape_.rows; ++i)
      add_multiple(&values[i * shape_.columns + begin], scale * a.sign(i), &b[a.column(i) * count], count);
  }

  const std::size_t rank_;
  const bool projects_;
  const MatrixShape shape_;
  const std::unique_ptr<Method> dense_ = make_dense();
};

}  // namespace

std::unique_ptr<Method> make_low_rank(const Options& options, std::span<const std::int64_t> shape) {
  return std::make_unique<LowRank>(static_cast<std::size_t>(options.integer("compression.low_rank.rank")),
                                   options.text("compression.error_feedback") != "off", shape);
}

}  // namespace gossamer
