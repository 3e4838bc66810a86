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

#include "compression/low_rank.h"
#include "compression/matrix.h"
#include "compression/methods.h"
#include "core/checksum.h"
#include "core/simd.h"

namespace gossamer {
namespace {

GOSSAMER_MULTIVERSION
void add_multiple(const float* __restrict values, float factor, float* __restrict sum, std::size_t n) {
  for (std::size_t j = 0; j < n; ++j) sum[j] += factor * values[j];
}

class LowRank final : public Method {
 public:
  LowRank(std::size_t rank, bool projects, MatrixShape matrix)
      : projects_(projects), shape_{matrix.rows, matrix.columns, rank} {}

  CompressorTraits traits() const noexcept override {
    return {.linear = true, .unbiased = !projects_, .norm_nonincreasing = projects_};
  }
  bool by_tensor() const noexcept override { return true; }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return shape_.factorizes(floats) ? shape_.factor_bytes() : dense_->most_bytes(floats);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) const override {
    if (!shape_.factorizes(values.size())) return dense_->encode(values, state, context, payload);
    std::memcpy(payload.data(), &context.key, sizeof context.key);
    const SignMatrix a(shape_.rows, shape_.rank, context.key);
    float own[LowRankShape::kPanelFloats];
    for (std::size_t begin = 0; begin < shape_.columns; begin += shape_.panel_columns()) {
      const std::size_t count = std::min(shape_.panel_columns(), shape_.columns - begin);
      const std::span<float> b(own, shape_.rank * count);
      sum_rows(values, a, begin, 1, b);
      float scale = 1;
      if (!all_finite(std::as_bytes(b))) {
        if (!all_finite(std::as_bytes(values))) return std::nullopt;
        scale = kLowRankScale;  // the sum was too large for a float
        sum_rows(values, a, begin, scale, b);
      }
      for (std::size_t k = 0; k < shape_.rank; ++k) {
        const float divisor = scale * (projects_ ? static_cast<float>(a.rows_of(k)) : 1.0F);
        for (float& x : b.subspan(k * count, count)) x = std::clamp(x / divisor, -kMost, kMost);
        std::memcpy(at(payload, k, begin), &b[k * count], count * sizeof(float));
      }
    }
    return shape_.factor_bytes();
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (!shape_.factorizes(floats)) return dense_->is_valid(payload, floats);
    return payload.size() == shape_.factor_bytes() && all_finite(payload.subspan(sizeof(std::uint64_t)));
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    if (!shape_.factorizes(sum.size())) return dense_->add(payload, weight, sum);
    std::uint64_t seed;
    std::memcpy(&seed, payload.data(), sizeof seed);
    const SignMatrix a(shape_.rows, shape_.rank, seed);
    float b[LowRankShape::kPanelFloats];
    for (std::size_t begin = 0; begin < shape_.columns; begin += shape_.panel_columns()) {
      const std::size_t count = std::min(shape_.panel_columns(), shape_.columns - begin);
      for (std::size_t k = 0; k < shape_.rank; ++k)
        std::memcpy(b + k * count, at(payload, k, begin), count * sizeof(float));
      for (std::size_t i = 0; i < shape_.rows; ++i)
        add_multiple(b + a.column(i) * count, weight * a.sign(i), &sum[i * shape_.columns + begin], count);
    }
  }

 private:
  static constexpr float kMost = std::numeric_limits<float>::max();

  // Where B's row k has the column `begin`.
  template <class Byte>
  Byte* at(std::span<Byte> payload, std::size_t k, std::size_t begin) const noexcept {
    return payload.data() + sizeof(std::uint64_t) + (k * shape_.columns + begin) * sizeof(float);
  }

  // b = scale A^T M of a panel's columns, from `begin` on.
  void sum_rows(std::span<const float> values, const SignMatrix& a, std::size_t begin, float scale,
                std::span<float> b) const {
    const std::size_t count = b.size() / shape_.rank;
    float block[LowRankShape::kPanelFloats];
    std::ranges::fill(b, 0.0F);
    for (std::size_t first = 0; first < shape_.rows; first += shape_.block_rows()) {
      std::fill_n(block, b.size(), 0.0F);
      for (std::size_t i = first; i < std::min(first + shape_.block_rows(), shape_.rows); ++i)
        add_multiple(&values[i * shape_.columns + begin], scale * a.sign(i), &block[a.column(i) * count],
                     count);
      add_multiple(block, 1, b.data(), b.size());
    }
  }

  const bool projects_;
  const LowRankShape shape_;
  const std::unique_ptr<Method> dense_ = make_dense();
};

}  // namespace

std::unique_ptr<Method> make_low_rank(const Options& options, std::span<const std::int64_t> shape) {
  return std::make_unique<LowRank>(static_cast<std::size_t>(options.integer("compression.low_rank.rank")),
                                   options.text("compression.error_feedback") != "off", MatrixShape(shape));
}

}  // namespace gossamer
