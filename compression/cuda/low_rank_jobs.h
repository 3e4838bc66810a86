// low_rank: the rows of each block are listed by A's columns, in order, so that a thread adds up those of one
// column of A and one of M.
#pragma once

#include "compression/cuda/memory.h"
#include "compression/low_rank.h"

namespace gossamer::cuda {

inline constexpr unsigned kLowRankThreads = 128;

// Where the rows' sums of a message lie. B's row k, of the first block of rows, is in the payload.
struct LowRankSums {
  LowRankShape shape;
  std::uint32_t* rows;        // of each block, by A's columns; the uppermost bit: -1
  std::uint32_t* ends;        // among them, of each block's columns
  float* more;                // sums, from the second block on
  std::uint32_t* overflowed;  // of each panel, whether a sum is no float
  std::uint8_t* payload;

  static constexpr std::uint32_t kNegative = 0x80000000U;

  std::size_t blocks() const { return parts_of(shape.rows, shape.block_rows()); }
  std::size_t panels() const { return parts_of(shape.columns, shape.panel_columns()); }
  std::size_t tiles() const { return parts_of(shape.columns, kLowRankThreads); }
  GOSSAMER_DEVICE std::uint8_t* factor(std::size_t i) const {
    return payload + sizeof(std::uint64_t) + i * sizeof(float);
  }
  GOSSAMER_DEVICE float total(std::size_t i) const {
    const std::size_t floats = shape.rank * shape.columns;
    float sum = load_float(factor(i));
    for (std::size_t block = 1; block * shape.block_rows() < shape.rows; ++block)
      sum = sum + more[(block - 1) * floats + i];
    return sum;
  }
};

// Lists the rows, and sets what is said of panels to zero.
struct ListSignedRows {
  static constexpr unsigned kThreads = 256;  // as many columns as A has at most
  struct Shared {
    std::uint32_t columns[kThreads];  // of a tile of rows, with their signs
  };

  LowRankSums sums;
  std::uint64_t key;

  std::size_t teams() const { return sums.blocks(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const SignMatrix a(sums.shape.rows, sums.shape.rank, key);
    const std::size_t begin = number * sums.shape.block_rows();
    const std::size_t end = smaller(begin + sums.shape.block_rows(), sums.shape.rows);
    // found(row, whether it is negative) of each of a column's rows, by its thread.
    const auto go_through = [&](const auto& found) {
      for (std::size_t tile = begin; tile < end; tile += kThreads) {
        const auto count = static_cast<unsigned>(smaller(std::size_t{kThreads}, end - tile));
        team.each([&](unsigned thread) {
          if (thread < count)
            shared.columns[thread] = static_cast<std::uint32_t>(a.column(tile + thread)) |
                                     (a.is_negative(tile + thread) ? LowRankSums::kNegative : 0);
        });
        team.each([&](unsigned thread) {
          for (unsigned i = 0; i < count; ++i) {
            const std::uint32_t column = shared.columns[i];
            if ((column & ~LowRankSums::kNegative) == thread)
              found(thread, static_cast<std::uint32_t>(tile + i) | (column & LowRankSums::kNegative));
          }
        });
      }
    };
    typename Team::template PerThread<std::uint32_t> counts, places;
    team.each([&](unsigned thread) {
      counts[thread] = 0;
      if (number > 0) return;
      for (std::size_t panel = thread; panel * sums.shape.panel_columns() < sums.shape.columns;
           panel += kThreads)
        sums.overflowed[panel] = 0;
    });
    go_through([&](unsigned thread, std::uint32_t) { ++counts[thread]; });
    team.prefix(places, [&](unsigned thread) { return counts[thread]; });
    team.each([&](unsigned thread) {
      places[thread] += static_cast<std::uint32_t>(begin);
      if (thread < sums.shape.rank)
        sums.ends[number * sums.shape.rank + thread] = places[thread] + counts[thread];
    });
    go_through([&](unsigned thread, std::uint32_t row) { sums.rows[places[thread]++] = row; });
  }
};

// The sums of each block. `again`: of a multiple of the rows, of panels whose sums are too large.
template <bool again>
struct SumSignedRows {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kLowRankThreads;

  const float* values;
  float* residual;
  LowRankSums sums;
  std::uint32_t* refused;

  std::size_t teams() const { return sums.blocks() * sums.shape.rank * sums.tiles(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const LowRankShape shape = sums.shape;
    const std::size_t tiles = (shape.columns + kThreads - 1) / kThreads;
    const std::size_t list = number / tiles, block = list / shape.rank, k = list % shape.rank;
    const std::size_t begin = k == 0 ? block * shape.block_rows() : sums.ends[list - 1];
    const std::size_t end = sums.ends[list];
    team.each([&](unsigned thread) {
      const std::size_t column = number % tiles * kThreads + thread;
      if (column >= shape.columns) return;
      if (again && sums.overflowed[column / shape.panel_columns()] == 0) return;
      const float scale = again ? kLowRankScale : 1.0F;
      float sum = 0;
      std::uint32_t largest = 0;
      for (std::size_t i = begin; i < end; ++i) {
        const std::uint32_t row = sums.rows[i];
        const float x = value_at((row & ~LowRankSums::kNegative) * shape.columns + column);
        largest = larger(largest, magnitude_bits(x));
        sum = plus(sum, (row & LowRankSums::kNegative) != 0 ? -scale : scale, x);
      }
      if (largest >= kInfinityBits) refuse(refused);
      const std::size_t floats = shape.rank * shape.columns, at = k * shape.columns + column;
      if (block == 0) {
        store_float(sums.factor(at), sum);
      } else {
        sums.more[(block - 1) * floats + at] = sum;
      }
    });
  }

 private:
  GOSSAMER_DEVICE float value_at(std::size_t i) const {
    if (residual == nullptr) return values[i];
    if (!again) residual[i] = values[i] + residual[i];
    return residual[i];
  }
};

// Says of which panels the sums are too large.
struct CheckFactor {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  LowRankSums sums;

  std::size_t teams() const { return parts_of(sums.shape.rank * sums.shape.columns, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const LowRankShape shape = sums.shape;
    team.each([&](unsigned thread) {
      const std::size_t i = number * kThreads + thread;
      if (i >= shape.rank * shape.columns || magnitude_bits(sums.total(i)) < kInfinityBits) return;
      refuse(&sums.overflowed[i % shape.columns / shape.panel_columns()]);
    });
  }
};

// B, behind the seed.
struct WriteFactor {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  LowRankSums sums;
  bool projects;
  std::uint64_t key;

  std::size_t teams() const { return parts_of(sums.shape.rank * sums.shape.columns, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const LowRankShape shape = sums.shape;
    const SignMatrix a(shape.rows, shape.rank, key);
    team.each([&](unsigned thread) {
      const std::size_t i = number * kThreads + thread;
      if (i == 0) store_eight(sums.payload, key, sizeof key);
      if (i >= shape.rank * shape.columns) return;
      const bool scaled = sums.overflowed[i % shape.columns / shape.panel_columns()] != 0;
      const float divisor = (scaled ? kLowRankScale : 1.0F) *
                            (projects ? static_cast<float>(a.rows_of(i / shape.columns)) : 1.0F);
      store_float(sums.factor(i), smaller(larger(sums.total(i) / divisor, -kLargestFloat), kLargestFloat));
    });
  }
};

// sum += weight A B.
struct AddLowRank {
  static constexpr unsigned kThreads = 256;
  static constexpr std::size_t kRows = 16;
  struct Shared {
    std::size_t columns[kRows];
    float weights[kRows];
  };

  const std::uint8_t* payload;
  LowRankShape shape;
  float weight;
  float* sum;

  std::size_t teams() const { return parts_of(shape.rows, kRows) * parts_of(shape.columns, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const std::size_t tiles = (shape.columns + kThreads - 1) / kThreads;
    const std::size_t first = number / tiles * kRows, begin = number % tiles * kThreads;
    const std::size_t rows = smaller(kRows, shape.rows - first);
    const std::size_t width = smaller(std::size_t{kThreads}, shape.columns - begin);
    team.each([&](unsigned thread) {
      if (thread >= rows) return;
      const SignMatrix a(shape.rows, shape.rank, load_eight(payload, sizeof(std::uint64_t)));
      shared.columns[thread] = a.column(first + thread);
      shared.weights[thread] = weight * a.sign(first + thread);
    });
    team.each([&](unsigned thread) {
      for (std::size_t i = thread; i < rows * width; i += kThreads) {
        const std::size_t row = i / width, column = begin + i % width;
        float& at = sum[(first + row) * shape.columns + column];
        const std::size_t factor = shared.columns[row] * shape.columns + column;
        at = plus(at, shared.weights[row],
                  load_float(payload + sizeof(std::uint64_t) + factor * sizeof(float)));
      }
    });
  }
};

}  // namespace gossamer::cuda
