// PowerSGD (Vogels, Karimireddy, Jaggi: "PowerSGD: practical low-rank gradient compression for distributed
// optimization", NeurIPS 2019): a tensor is a matrix M of its first dimension by the others, and one step of
// subspace iteration from the last message's Q gives its factors: P = M Q, made orthonormal, and Q = M^T P;
// what is decoded is P Q^T. This is the form of one sender: the paper averages P over all workers before it
// is made orthonormal, and then Q, which takes two all-reduces a step; here each sender has factors of its
// own, in one message, and the server adds up the products. What was lost is sent later (error feedback), as
// in the paper.
// The payload is P, then Q, each column by column. A vector, and a matrix of which the factors would not be
// fewer floats, travels as it is.
// The state is Q, each column in multiples of its largest magnitude. A column that is zero (before the first
// message, or where the matrix has no such rank) begins at random.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "compression/matrix.h"
#include "compression/methods.h"
#include "compression/powersgd.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compression/powersgd.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "compression/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gossamer::HWY_NAMESPACE {

// A panel's part of Q stays in the first cache. Within a panel work goes by tiles of rows and of columns of
// Q, whose sums are in registers.
constexpr std::size_t kPanelFloats = PowerSgdShape::kPanelFloats;
constexpr std::size_t kTileRows = PowerSgdShape::kTileRows;
constexpr std::size_t kTileRanks = PowerSgdShape::kTileRanks;
constexpr std::size_t kNormFloats = PowerSgdShape::kNormFloats;
static_assert(kSumLanes == PowerSgdShape::kLanes);

struct Panel {
  Panel(const PowerSgdShape& shape, std::size_t from)
      : begin(from),
        count(std::min(shape.columns - from, shape.panel_columns())),
        stride((count + kSumLanes - 1) / kSumLanes * kSumLanes) {}

  std::size_t begin, count;
  std::size_t stride;  // between the panel's rows of Q^T: count, padded with zeros
};

HWY_INLINE float float_at(const std::uint8_t* bytes, std::size_t i) {
  float x;
  std::memcpy(&x, bytes + i * sizeof x, sizeof x);
  return x;
}

// Of the vector from `at` on, what is below `count`; zeros behind.
HWY_INLINE FloatVector load_below(const float* floats, std::size_t at, std::size_t count) {
  HWY_ALIGN float own[kSumLanes] = {};
  if (at < count) std::memcpy(own, floats + at, std::min(hn::Lanes(Floats()), count - at) * sizeof(float));
  return hn::Load(Floats(), own);
}
HWY_INLINE void store_below(FloatVector x, float* floats, std::size_t at, std::size_t count) {
  HWY_ALIGN float own[kSumLanes];
  hn::Store(x, Floats(), own);
  if (at < count) std::memcpy(floats + at, own, std::min(hn::Lanes(Floats()), count - at) * sizeof(float));
}

// The largest magnitude of `count` values, and of those in `largest`. With `residual` the values are values +
// residual, which is where they are left.
HWY_INLINE WordVector take_in(const float* values, float* residual, std::size_t count, WordVector largest) {
  const std::size_t whole = count - count % hn::Lanes(Floats());
  largest = largest_magnitude(values, residual, whole, largest);
  auto x = load_below(values, whole, count);
  if (residual != nullptr) {
    x = hn::Add(x, load_below(residual, whole, count));
    store_below(x, residual, whole, count);
  }
  return hn::Max(largest, magnitude_bits(x));
}

// Of kSumLanes lanes, in a tree.
HWY_INLINE float sum_of(const FloatVector* sums) {
  HWY_ALIGN float lanes[kSumLanes];
  for (std::size_t part = 0; part < kVectors; ++part)
    hn::Store(sums[part], Floats(), lanes + part * hn::Lanes(Floats()));
  for (std::size_t half = kSumLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// P += M Q of `rows` rows from `m` on and `ranks` columns of Q, whose panel is `q`; P's column has `height`.
template <std::size_t rows, std::size_t ranks>
HWY_INLINE void project_tile(const float* HWY_RESTRICT m, std::size_t columns, const float* HWY_RESTRICT q,
                             const Panel& panel, std::uint8_t* HWY_RESTRICT p, std::size_t height) {
  const Floats floats;
  FloatVector sums[rows][ranks][kVectors];
  for (auto& of_row : sums) {
    for (auto& of_rank : of_row) {
      for (auto& sum : of_rank) sum = hn::Zero(floats);
    }
  }
  const auto step = [&](std::size_t at, std::size_t part, const auto& load) {
    FloatVector own[ranks];
    for (std::size_t k = 0; k < ranks; ++k) own[k] = hn::Load(floats, q + k * panel.stride + at);
    for (std::size_t r = 0; r < rows; ++r) {
      const auto x = load(m + r * columns, at);
      for (std::size_t k = 0; k < ranks; ++k)
        sums[r][k][part] = hn::Add(sums[r][k][part], hn::Mul(x, own[k]));
    }
  };
  const std::size_t whole = panel.count - panel.count % kSumLanes;
  for (std::size_t j = 0; j < whole; j += kSumLanes) {
    for (std::size_t part = 0; part < kVectors; ++part)
      step(j + part * hn::Lanes(floats), part,
           [&](const float* row, std::size_t at) { return hn::LoadU(floats, row + at); });
  }
  if (whole < panel.count) {
    for (std::size_t part = 0; part < kVectors; ++part)
      step(whole + part * hn::Lanes(floats), part,
           [&](const float* row, std::size_t at) { return load_below(row, at, panel.count); });
  }
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < ranks; ++k) {
      std::uint8_t* const at = p + (k * height + r) * sizeof(float);
      const float total = float_at(at, 0) + sum_of(sums[r][k]);
      std::memcpy(at, &total, sizeof total);
    }
  }
}

template <std::size_t rows>
HWY_INLINE void project_rows(const float* m, std::size_t columns, const float* q, const Panel& panel,
                             std::size_t rank, std::uint8_t* p, std::size_t height) {
  // As many sums as there are registers for.
  constexpr std::size_t ranks = kVectors == 1 ? kTileRanks : kTileRanks / 2;
  std::size_t k = 0;
  for (; k + ranks <= rank; k += ranks)
    project_tile<rows, ranks>(m, columns, q + k * panel.stride, panel, p + k * height * sizeof(float),
                              height);
  for (; k < rank; ++k)
    project_tile<rows, 1>(m, columns, q + k * panel.stride, panel, p + k * height * sizeof(float), height);
}

// P = scale M Q, where `q` is Q^T. Returns the bits of M's largest magnitude. With `residual` M is values +
// residual, which is where it is left.
std::uint32_t project(const float* values, float* residual, const PowerSgdShape& shape, const float* q,
                      float scale, std::uint8_t* p) {
  const std::size_t rank = shape.rank;
  HWY_ALIGN float own[kPanelFloats];
  WordVector largest = hn::Zero(Words());
  const float* const m = residual == nullptr ? values : residual;
  std::memset(p, 0, rank * shape.rows * sizeof(float));
  for (std::size_t begin = 0; begin < shape.columns;) {
    const Panel panel(shape, begin);
    for (std::size_t k = 0; k < rank; ++k) {
      for (std::size_t j = 0; j < panel.count; ++j)
        own[k * panel.stride + j] = q[k * shape.columns + begin + j] * scale;
      std::fill_n(own + k * panel.stride + panel.count, panel.stride - panel.count, 0.0F);
    }
    constexpr std::size_t tile = kVectors == 1 ? kTileRows : kVectors == 2 ? 2 : 1;
    for (std::size_t i = 0; i < shape.rows;) {
      const std::size_t count = std::min(tile, shape.rows - i), at = i * shape.columns + begin;
      for (std::size_t r = 0; r < count; ++r)
        largest =
            take_in(values + at + r * shape.columns,
                    residual == nullptr ? nullptr : residual + at + r * shape.columns, panel.count, largest);
      if (count == tile) {
        project_rows<tile>(m + at, shape.columns, own, panel, rank, p + i * sizeof(float), shape.rows);
      } else {
        for (std::size_t r = 0; r < count; ++r)
          project_rows<1>(m + at + r * shape.columns, shape.columns, own, panel, rank,
                          p + (i + r) * sizeof(float), shape.rows);
      }
      i += count;
    }
    begin += panel.count;
  }
  return hn::GetLane(hn::MaxOfLanes(Words(), largest));
}

// Q^T += (M^T P)^T of `rows` rows: in `q`, the panel's, `ranks` of its rows.
template <std::size_t rows, std::size_t ranks>
HWY_INLINE void project_back_tile(const float* HWY_RESTRICT m, std::size_t columns,
                                  const float (&p)[kTileRows][kTileRanks], const Panel& panel,
                                  float* HWY_RESTRICT q) {
  const Floats floats;
  FloatVector weights[rows][ranks];
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < ranks; ++k) weights[r][k] = hn::Set(floats, p[r][k]);
  }
  const auto step = [&](std::size_t at, const auto& load) {
    FloatVector x[rows];
    for (std::size_t r = 0; r < rows; ++r) {
      x[r] = load(m + r * columns, at);
      __builtin_prefetch(m + (rows + r) * columns + at);
    }
    for (std::size_t k = 0; k < ranks; ++k) {
      auto sum = hn::Mul(x[0], weights[0][k]);
      for (std::size_t r = 1; r < rows; ++r) sum = hn::Add(sum, hn::Mul(x[r], weights[r][k]));
      float* const to = q + k * panel.stride + at;
      hn::Store(hn::Add(hn::Load(floats, to), sum), floats, to);
    }
  };
  const std::size_t whole = panel.count - panel.count % hn::Lanes(floats);
  for (std::size_t j = 0; j < whole; j += hn::Lanes(floats))
    step(j, [&](const float* row, std::size_t at) { return hn::LoadU(floats, row + at); });
  if (whole < panel.count)
    step(whole, [&](const float* row, std::size_t at) { return load_below(row, at, panel.count); });
}

// Of rows `first` .. `end` - 1, in `q`, the panel's.
HWY_INLINE void project_back_rows(const float* m, const PowerSgdShape& shape, const std::uint8_t* p,
                                  float scale, const Panel& panel, std::size_t first, std::size_t end,
                                  float* q) {
  for (std::size_t i = first; i < end;) {
    const std::size_t count = end - i < kTileRows ? 1 : kTileRows;
    const float* const rows = m + i * shape.columns + panel.begin;
    for (std::size_t k = 0; k < shape.rank;) {
      const std::size_t ranks = shape.rank - k < kTileRanks ? 1 : kTileRanks;
      float tile[kTileRows][kTileRanks];
      for (std::size_t r = 0; r < count; ++r) {
        for (std::size_t c = 0; c < ranks; ++c)
          tile[r][c] = float_at(p, (k + c) * shape.rows + i + r) * scale;
      }
      float* const to = q + k * panel.stride;
      if (count == kTileRows && ranks == kTileRanks)
        project_back_tile<kTileRows, kTileRanks>(rows, shape.columns, tile, panel, to);
      else if (count == kTileRows)
        project_back_tile<kTileRows, 1>(rows, shape.columns, tile, panel, to);
      else if (ranks == kTileRanks)
        project_back_tile<1, kTileRanks>(rows, shape.columns, tile, panel, to);
      else
        project_back_tile<1, 1>(rows, shape.columns, tile, panel, to);
      k += ranks;
    }
    i += count;
  }
}

// Q = scale^-1 M^T (scale P), no larger than shape.most(): as a payload, and as Q^T.
void project_back(const float* m, const PowerSgdShape& shape, const std::uint8_t* p, float scale, float* q,
                  std::uint8_t* payload) {
  constexpr std::size_t kBlockRows = PowerSgdShape::kBlockRows;
  static_assert(kBlockRows % kTileRows == 0);
  const float most = shape.most();
  HWY_ALIGN float own[kPanelFloats];
  for (std::size_t begin = 0; begin < shape.columns;) {
    const Panel panel(shape, begin);
    for (std::size_t first = 0; first < shape.rows; first += kBlockRows) {
      std::fill_n(own, shape.rank * panel.stride, 0.0F);
      project_back_rows(m, shape, p, scale, panel, first, std::min(first + kBlockRows, shape.rows), own);
      for (std::size_t k = 0; k < shape.rank; ++k) {
        const float* const of_block = own + k * panel.stride;
        float* const to = q + k * shape.columns + begin;
        for (std::size_t j = 0; j < panel.count; ++j) to[j] = first == 0 ? of_block[j] : to[j] + of_block[j];
      }
    }
    for (std::size_t k = 0; k < shape.rank; ++k) {
      float* const to = q + k * shape.columns + begin;
      for (std::size_t j = 0; j < panel.count; ++j) to[j] = std::clamp(to[j] / scale, -most, most);
      std::memcpy(payload + (k * shape.columns + begin) * sizeof(float), to, panel.count * sizeof(float));
    }
    begin += panel.count;
  }
}

// Goes over n floats of a payload (and of another, where there is one) a vector at a time; what is behind the
// last is zero. `use` is given the vectors, their part of kSumLanes, and returns what takes the first's
// place.
template <class Use>
HWY_INLINE void for_each_vector(std::uint8_t* a, const std::uint8_t* b, std::size_t n, const Use& use) {
  const std::size_t whole = n - n % kSumLanes, rest = (n - whole) * sizeof(float);
  const std::size_t bytes = hn::Lanes(Floats()) * sizeof(float);
  const auto group = [&](std::uint8_t* x, const std::uint8_t* y) {
    for (std::size_t part = 0; part < kVectors; ++part)
      store_floats(use(load_floats(x + part * bytes), load_floats(y + part * bytes), part), x + part * bytes);
  };
  for (std::size_t i = 0; i < whole * sizeof(float); i += kSumLanes * sizeof(float)) group(a + i, b + i);
  if (rest == 0) return;
  std::uint8_t x[kSumLanes * sizeof(float)] = {}, y[kSumLanes * sizeof(float)] = {};
  std::memcpy(x, a + whole * sizeof(float), rest);
  std::memcpy(y, b + whole * sizeof(float), rest);
  group(x, y);
  std::memcpy(a + whole * sizeof(float), x, rest);
}

HWY_INLINE double dot(std::uint8_t* a, const std::uint8_t* b, std::size_t n) {
  double total = 0;
  for (std::size_t begin = 0; begin < n; begin += kNormFloats) {
    LaneSums sums;
    for_each_vector(a + begin * sizeof(float), b + begin * sizeof(float), std::min(kNormFloats, n - begin),
                    [&](FloatVector x, FloatVector y, std::size_t part) {
                      sums.add(part, hn::Mul(x, y));
                      return x;
                    });
    total += sums.total();
  }
  return total;
}

// No magnitude grows beyond 1: `factor` is one over what is at least as large as each, to rounding.
HWY_INLINE void shrink(std::uint8_t* a, std::size_t n, float factor) {
  const auto one = hn::Set(Floats(), 1.0F), by = hn::Set(Floats(), factor);
  for_each_vector(a, a, n, [&](FloatVector x, FloatVector, std::size_t) {
    return hn::Max(hn::Min(hn::Mul(x, by), one), hn::Neg(one));
  });
}

// Makes P's columns, of `rows` floats, orthonormal, by the modified Gram-Schmidt process, twice (for which it
// is as good as it gets: Giraud, Langou, Rozloznik, 2005); a column that depends on those before it is made
// zero. False where a float is NaN or infinite.
bool orthonormalize(std::uint8_t* p, std::size_t rows, std::size_t rank) {
  for (std::size_t k = 0; k < rank; ++k) {
    std::uint8_t* const own = p + k * rows * sizeof(float);
    WordVector magnitudes = hn::Zero(Words());
    for_each_vector(own, own, rows, [&](FloatVector x, FloatVector, std::size_t) {
      magnitudes = hn::Max(magnitudes, magnitude_bits(x));
      return x;
    });
    if (has_non_finite(magnitudes)) return false;
    const float largest = largest_lane(magnitudes);
    const bool vanishes = largest < kLeastColumn;
    if (!vanishes) shrink(own, rows, 1 / largest);
    const double before = std::sqrt(dot(own, own, rows));
    for (int pass = 0; pass < 2 && !vanishes; ++pass) {
      for (std::size_t j = 0; j < k; ++j) {
        const std::uint8_t* const other = p + j * rows * sizeof(float);
        const auto along = hn::Set(Floats(), static_cast<float>(dot(own, other, rows)));
        for_each_vector(own, other, rows, [&](FloatVector x, FloatVector y, std::size_t) {
          return hn::Sub(x, hn::Mul(along, y));
        });
      }
    }
    const double after = vanishes ? 0 : std::sqrt(dot(own, own, rows));
    if (vanishes || after <= before * kDependent)
      std::memset(own, 0, rows * sizeof(float));
    else
      shrink(own, rows, static_cast<float>(1 / after));
  }
  return true;
}

// Uniform between -1 and 1.
void draw_column(std::uint64_t key, std::size_t chunk, float* column, std::size_t n) {
  HWY_ALIGN std::uint16_t bits[kRandomChunk];
  for (std::size_t begin = 0; begin < n; begin += kRandomChunk, ++chunk) {
    random_chunk(key, chunk, bits);
    for (std::size_t i = 0; i < std::min(kRandomChunk, n - begin); ++i)
      column[begin + i] = static_cast<float>(2 * bits[i] - 65535) * 0x1p-16F;
  }
}

template <std::size_t rows, std::size_t ranks>
HWY_INLINE void add_tile(const float (&p)[kTileRows][kTileRanks], const float* HWY_RESTRICT q,
                         const Panel& panel, float* HWY_RESTRICT sum, std::size_t columns) {
  const Floats floats;
  FloatVector weights[rows][ranks];
  for (std::size_t r = 0; r < rows; ++r) {
    for (std::size_t k = 0; k < ranks; ++k) weights[r][k] = hn::Set(floats, p[r][k]);
  }
  const auto step = [&](std::size_t at, const auto& load, const auto& store) {
    FloatVector own[ranks];
    for (std::size_t k = 0; k < ranks; ++k) own[k] = hn::Load(floats, q + k * panel.stride + at);
    for (std::size_t r = 0; r < rows; ++r) {
      auto x = hn::Mul(own[0], weights[r][0]);
      for (std::size_t k = 1; k < ranks; ++k) x = hn::Add(x, hn::Mul(own[k], weights[r][k]));
      float* const to = sum + r * columns;
      __builtin_prefetch(to + rows * columns + at, 1);
      store(hn::Add(load(to, at), x), to, at);
    }
  };
  const std::size_t lanes = hn::Lanes(floats), whole = panel.count - panel.count % lanes;
  for (std::size_t j = 0; j < whole; j += lanes)
    step(
        j, [&](const float* row, std::size_t at) { return hn::LoadU(floats, row + at); },
        [&](FloatVector x, float* row, std::size_t at) { hn::StoreU(x, floats, row + at); });
  if (whole < panel.count)
    step(
        whole, [&](const float* row, std::size_t at) { return load_below(row, at, panel.count); },
        [&](FloatVector x, float* row, std::size_t at) { store_below(x, row, at, panel.count); });
}

// sum += weight P Q^T.
void add_product(const std::uint8_t* p, const PowerSgdShape& shape, float weight, float* sum) {
  const std::size_t rank = shape.rank;
  HWY_ALIGN float own[kPanelFloats];
  const std::uint8_t* const q = p + rank * shape.rows * sizeof(float);
  for (std::size_t begin = 0; begin < shape.columns;) {
    const Panel panel(shape, begin);
    for (std::size_t k = 0; k < rank; ++k) {
      float* const to = own + k * panel.stride;
      std::memcpy(to, q + (k * shape.columns + begin) * sizeof(float), panel.count * sizeof(float));
      for (std::size_t j = 0; j < panel.count; ++j) to[j] *= weight;
      std::fill_n(to + panel.count, panel.stride - panel.count, 0.0F);
    }
    for (std::size_t i = 0; i < shape.rows;) {
      const std::size_t count = shape.rows - i < kTileRows ? 1 : kTileRows;
      float* const to = sum + i * shape.columns + begin;
      for (std::size_t k = 0; k < rank;) {
        const std::size_t ranks = rank - k < kTileRanks ? 1 : kTileRanks;
        float tile[kTileRows][kTileRanks];
        for (std::size_t r = 0; r < count; ++r) {
          for (std::size_t c = 0; c < ranks; ++c) tile[r][c] = float_at(p, (k + c) * shape.rows + i + r);
        }
        const float* const from = own + k * panel.stride;
        if (count == kTileRows && ranks == kTileRanks)
          add_tile<kTileRows, kTileRanks>(tile, from, panel, to, shape.columns);
        else if (count == kTileRows)
          add_tile<kTileRows, 1>(tile, from, panel, to, shape.columns);
        else if (ranks == kTileRanks)
          add_tile<1, kTileRanks>(tile, from, panel, to, shape.columns);
        else
          add_tile<1, 1>(tile, from, panel, to, shape.columns);
        k += ranks;
      }
      i += count;
    }
    begin += panel.count;
  }
}

}  // namespace gossamer::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gossamer {
namespace {

HWY_EXPORT(project);
HWY_EXPORT(orthonormalize);
HWY_EXPORT(project_back);
HWY_EXPORT(draw_column);
HWY_EXPORT(add_product);

class PowerSgd final : public Method {
 public:
  PowerSgd(std::size_t rank, MatrixShape matrix) : shape_{matrix.rows, matrix.columns, rank} {}

  CompressorTraits traits() const noexcept override { return {.norm_nonincreasing = true}; }
  bool by_tensor() const noexcept override { return true; }
  std::size_t state_floats(std::size_t floats) const noexcept override {
    return shape_.factorizes(floats) ? shape_.rank * shape_.columns : 0;
  }
  std::size_t most_bytes(std::size_t floats) const noexcept override {
    return shape_.factorizes(floats) ? shape_.factor_floats() * sizeof(float) : dense_->most_bytes(floats);
  }

  std::optional<std::size_t> encode(std::span<const float> values, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) const override {
    return shape_.factorizes(values.size()) ? write(values, nullptr, state, context, payload)
                                            : dense_->encode(values, state, context, payload);
  }
  std::optional<std::size_t> encode_with_residual(std::span<const float> values, std::span<float> state,
                                                  EncodeContext context,
                                                  std::span<std::byte> payload) const override {
    if (!shape_.factorizes(values.size()))
      return dense_->encode_with_residual(values, state, context, payload);
    const auto residual = state.first(values.size());
    const auto length = write(values, residual.data(), state.subspan(values.size()), context, payload);
    if (length) add(payload.first(*length), -1, residual);
    return length;
  }

  bool is_valid(std::span<const std::byte> payload, std::size_t floats) const noexcept override {
    if (!shape_.factorizes(floats)) return dense_->is_valid(payload, floats);
    if (payload.size() != most_bytes(floats)) return false;
    const std::size_t of_p = shape_.rank * shape_.rows;
    return are_at_most(payload.first(of_p * sizeof(float)), 1) &&
           are_at_most(payload.subspan(of_p * sizeof(float)), shape_.most());
  }
  void add(std::span<const std::byte> payload, float weight, std::span<float> sum) const noexcept override {
    if (!shape_.factorizes(sum.size())) return dense_->add(payload, weight, sum);
    HWY_DYNAMIC_DISPATCH(add_product)
    (reinterpret_cast<const std::uint8_t*>(payload.data()), shape_, weight, sum.data());
  }

 private:
  static bool are_at_most(std::span<const std::byte> payload, float most) noexcept {
    bool all = true;
    for (std::size_t at = 0; at < payload.size(); at += sizeof(float)) {
      float x;
      std::memcpy(&x, payload.data() + at, sizeof x);
      all &= std::abs(x) <= most;  // not of a NaN
    }
    return all;
  }

  std::optional<std::size_t> write(std::span<const float> values, float* residual, std::span<float> q,
                                   EncodeContext context, std::span<std::byte> payload) const {
    const std::size_t columns = shape_.columns;
    for (std::size_t k = 0; k < shape_.rank; ++k) {
      const auto column = q.subspan(k * columns, columns);
      if (!std::ranges::all_of(column, [](float x) { return x == 0; })) continue;
      HWY_DYNAMIC_DISPATCH(draw_column)
      (context.key, k * ((columns + kBlockFloats - 1) / kBlockFloats), column.data(), columns);
    }
    auto* const p = reinterpret_cast<std::uint8_t*>(payload.data());
    const float* const m = residual == nullptr ? values.data() : residual;
    const auto bits = HWY_DYNAMIC_DISPATCH(project)(values.data(), residual, shape_, q.data(), 1.0F, p);
    const auto largest = std::bit_cast<float>(bits);
    if (!std::isfinite(largest)) return std::nullopt;
    const float scale = PowerSgdShape::scale_of(largest);
    if (scale != 1) HWY_DYNAMIC_DISPATCH(project)(m, nullptr, shape_, q.data(), scale, p);
    if (!HWY_DYNAMIC_DISPATCH(orthonormalize)(p, shape_.rows, shape_.rank)) return std::nullopt;
    HWY_DYNAMIC_DISPATCH(project_back)
    (m, shape_, p, scale, q.data(), p + shape_.rank * shape_.rows * sizeof(float));
    for (std::size_t k = 0; k < shape_.rank; ++k) {
      const auto column = q.subspan(k * columns, columns);
      float size = 0;
      for (const float x : column) size = std::max(size, std::abs(x));
      for (float& x : column) x = size < kLeastColumn ? 0 : x / size;
    }
    return shape_.factor_floats() * sizeof(float);
  }

  const PowerSgdShape shape_;
  const std::unique_ptr<Method> dense_ = make_dense();
};

}  // namespace

std::unique_ptr<Method> make_powersgd(const Options& options, std::span<const std::int64_t> shape) {
  return std::make_unique<PowerSgd>(static_cast<std::size_t>(options.integer("compression.powersgd.rank")),
                                    MatrixShape(shape));
}

}  // namespace gossamer
#endif
