// PowerSGD: P = M Q by rows, P made orthonormal by one team, Q = M^T P by blocks of rows.
#pragma once

#include "compression/cuda/memory.h"
#include "compression/powersgd.h"

namespace gossamer::cuda {

// What the jobs of one message have in common. The payload is P, then Q.
struct PowerSgdFactors {
  PowerSgdShape shape;
  float* q;                // Q^T: that of the last message, and then this one's
  float* more;             // Q^T of the blocks of rows behind the first
  std::uint32_t* largest;  // magnitude of M, in bits
  std::uint8_t* payload;

  GOSSAMER_DEVICE std::uint8_t* p_at(std::size_t k, std::size_t row) const {
    return payload + (k * shape.rows + row) * sizeof(float);
  }
  GOSSAMER_DEVICE float scale() const { return PowerSgdShape::scale_of(float_of(*largest)); }
  std::size_t blocks() const { return parts_of(shape.rows, PowerSgdShape::kBlockRows); }
};

// Columns of Q that are zeros begin at random, uniform between -1 and 1.
struct DrawColumns {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  PowerSgdFactors factors;
  std::uint64_t key;

  std::size_t teams() const { return factors.shape.rank; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t columns = factors.shape.columns;
    float* const column = factors.q + number * columns;
    const std::uint32_t largest = team.largest([&](unsigned thread) {
      if (number == 0 && thread == 0) *factors.largest = 0;
      std::uint32_t found = 0;
      for (std::size_t i = thread; i < columns; i += kThreads)
        found = larger(found, magnitude_bits(column[i]));
      return found;
    });
    if (largest != 0) return;
    const std::size_t first_chunk = number * ((columns + kChunk - 1) / kChunk);
    team.each([&](unsigned thread) {
      for (std::size_t i = thread; i < columns; i += kThreads)
        column[i] =
            static_cast<float>(2 * random_bits_at(key, first_chunk + i / kChunk, i % kChunk) - 65535) *
            0x1p-16F;
    });
  }
};

// P = M Q, a row a group of threads. M is values + residual, which is left in the residual. `again`: of a
// multiple of M, where its values are very large or small.
template <bool again>
struct ProjectRows {
  static constexpr unsigned kLanes = PowerSgdShape::kLanes, kRanks = PowerSgdShape::kTileRanks;
  static constexpr unsigned kRows = 8, kThreads = kRows * kLanes;
  struct Shared {
    float lanes[kRows][kRanks][kLanes];
  };

  const float* values;
  float* residual;
  PowerSgdFactors factors;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(factors.shape.rows, kRows); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const PowerSgdShape shape = factors.shape;
    const float scale = again ? factors.scale() : 1.0F;
    if (again && scale == 1) return;
    typename Team::template PerThread<float> totals;
    typename Team::template PerThread<std::uint32_t> largest;
    team.each([&](unsigned thread) { largest[thread] = 0; });
    for (std::size_t k = 0; k < shape.rank; k += kRanks) {
      const auto ranks = static_cast<unsigned>(smaller(std::size_t{kRanks}, shape.rank - k));
      team.each([&](unsigned thread) { totals[thread] = 0; });
      for (std::size_t begin = 0; begin < shape.columns; begin += shape.panel_columns()) {
        const std::size_t end = smaller(begin + shape.panel_columns(), shape.columns);
        team.each([&](unsigned thread) {
          const std::size_t row = number * kRows + thread / kLanes;
          if (row >= shape.rows) return;
          float sums[kRanks] = {};
          for (std::size_t j = begin + thread % kLanes; j < end; j += kLanes) {
            const float x = value_at(row * shape.columns + j, k == 0);
            largest[thread] = larger(largest[thread], magnitude_bits(x));
            for (unsigned c = 0; c < kRanks; ++c) {
              if (c < ranks) sums[c] = sums[c] + x * (factors.q[(k + c) * shape.columns + j] * scale);
            }
          }
          for (unsigned c = 0; c < kRanks; ++c) shared.lanes[thread / kLanes][c][thread % kLanes] = sums[c];
        });
        team.each([&](unsigned thread) {
          if (thread % kLanes >= ranks) return;
          float* const sums = shared.lanes[thread / kLanes][thread % kLanes];
          for (unsigned half = kLanes / 2; half > 0; half /= 2) {
            for (unsigned lane = 0; lane < half; ++lane) sums[lane] = sums[lane] + sums[lane + half];
          }
          totals[thread] = totals[thread] + sums[0];
        });
      }
      team.each([&](unsigned thread) {
        const std::size_t row = number * kRows + thread / kLanes;
        if (row < shape.rows && thread % kLanes < ranks)
          store_float(factors.p_at(k + thread % kLanes, row), totals[thread]);
      });
    }
    const std::uint32_t found = team.largest([&](unsigned thread) { return largest[thread]; });
    team.each([&](unsigned thread) {
      if (again || thread != 0) return;
      raise_to(factors.largest, found);
      if (found >= kInfinityBits) refuse(refused);
    });
  }

 private:
  GOSSAMER_DEVICE float value_at(std::size_t i, bool is_new) const {
    if (residual == nullptr) return values[i];
    if (!again && is_new) residual[i] = values[i] + residual[i];
    return residual[i];
  }
};

// Makes P's columns orthonormal, as powersgd.cpp does; refuses what is no number.
struct Orthonormalize {
  static constexpr unsigned kThreads = 1024;
  static constexpr unsigned kLanes = PowerSgdShape::kLanes, kBlocks = kThreads / kLanes;
  static constexpr std::size_t kBlock = PowerSgdShape::kNormFloats;
  struct Shared {
    float lanes[kBlocks][kLanes];
    double totals[kBlocks];
    double total;
  };

  PowerSgdFactors factors;
  std::uint32_t* refused;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    const std::size_t rows = factors.shape.rows;
    for (std::size_t k = 0; k < factors.shape.rank; ++k) {
      const std::uint32_t bits = team.largest([&](unsigned thread) {
        std::uint32_t found = 0;
        for (std::size_t i = thread; i < rows; i += kThreads) found = larger(found, magnitude_bits(at(k, i)));
        return found;
      });
      if (bits >= kInfinityBits) {
        team.each([&](unsigned thread) {
          if (thread == 0) refuse(refused);
        });
        return;
      }
      const float largest = float_of(bits);
      bool stays = false;
      if (!(largest < kLeastColumn)) {
        shrink(team, k, 1 / largest);
        const double before = sqrt(dot(team, shared, k, k));
        for (int pass = 0; pass < 2; ++pass) {
          for (std::size_t j = 0; j < k; ++j) {
            const auto along = static_cast<float>(dot(team, shared, k, j));
            change(team, k, [&](float x, std::size_t i) { return x - along * at(j, i); });
          }
        }
        const double after = sqrt(dot(team, shared, k, k));
        stays = !(after <= before * kDependent);
        if (stays) shrink(team, k, static_cast<float>(1 / after));
      }
      if (!stays) change(team, k, [](float, std::size_t) { return 0.0F; });
    }
  }

 private:
  GOSSAMER_DEVICE float at(std::size_t k, std::size_t i) const { return load_float(factors.p_at(k, i)); }

  // x becomes f(x, its row), of column k.
  template <class Team, class F>
  GOSSAMER_DEVICE void change(Team& team, std::size_t k, const F& f) const {
    team.each([&](unsigned thread) {
      for (std::size_t i = thread; i < factors.shape.rows; i += kThreads)
        store_float(factors.p_at(k, i), f(at(k, i), i));
    });
  }
  template <class Team>
  GOSSAMER_DEVICE void shrink(Team& team, std::size_t k, float factor) const {
    change(team, k, [factor](float x, std::size_t) { return larger(smaller(x * factor, 1.0F), -1.0F); });
  }

  template <class Team>
  GOSSAMER_DEVICE double dot(Team& team, Shared& shared, std::size_t a, std::size_t b) const {
    const std::size_t rows = factors.shape.rows;
    team.each([&](unsigned thread) {
      if (thread == 0) shared.total = 0;
    });
    for (std::size_t tile = 0; tile < rows; tile += kBlocks * kBlock) {
      team.each([&](unsigned thread) {
        const std::size_t begin = tile + thread / kLanes * kBlock, end = smaller(begin + kBlock, rows);
        float sum = 0;
        GOSSAMER_UNROLL_16
        for (std::size_t i = begin + thread % kLanes; i < end; i += kLanes) sum = sum + at(a, i) * at(b, i);
        shared.lanes[thread / kLanes][thread % kLanes] = sum;
      });
      team.each([&](unsigned thread) {
        if (thread >= kBlocks) return;
        double total = 0;
        for (const float lane : shared.lanes[thread]) total = total + static_cast<double>(lane);
        shared.totals[thread] = total;
      });
      team.each([&](unsigned thread) {
        if (thread != 0) return;
        for (const double total : shared.totals) shared.total = shared.total + total;
      });
    }
    const double total = shared.total;
    team.each([](unsigned) {});  // all have read it before the next one is begun
    return total;
  }
};

// Q^T = (M^T P)^T of each block of rows, a column of M a thread.
struct ProjectBack {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 128;
  static constexpr std::size_t kRows = PowerSgdShape::kTileRows, kRanks = PowerSgdShape::kTileRanks;

  const float* m;
  PowerSgdFactors factors;

  std::size_t teams() const {
    return factors.blocks() * parts_of(factors.shape.rank, kRanks) *
           parts_of(factors.shape.columns, kThreads);
  }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const PowerSgdShape shape = factors.shape;
    const std::size_t tiles = (shape.columns + kThreads - 1) / kThreads;
    const std::size_t rank_tiles = (shape.rank + kRanks - 1) / kRanks;
    const std::size_t block = number / tiles / rank_tiles, k = number / tiles % rank_tiles * kRanks;
    const std::size_t ranks = smaller(kRanks, shape.rank - k);
    const std::size_t begin = block * PowerSgdShape::kBlockRows;
    const std::size_t end = smaller(begin + PowerSgdShape::kBlockRows, shape.rows);
    const float scale = factors.scale();
    float* const out = block == 0 ? factors.q : factors.more + (block - 1) * shape.rank * shape.columns;
    team.each([&](unsigned thread) {
      const std::size_t column = number % tiles * kThreads + thread;
      if (column >= shape.columns) return;
      float sums[kRanks] = {};
      for (std::size_t i = begin; i < end;) {
        const std::size_t rows = end - i < kRows ? 1 : kRows;
        float x[kRows] = {};
        for (std::size_t r = 0; r < kRows; ++r) {
          if (r < rows) x[r] = m[(i + r) * shape.columns + column];
        }
        for (std::size_t c = 0; c < kRanks; ++c) {
          if (c >= ranks) continue;
          float sum = x[0] * (load_float(factors.p_at(k + c, i)) * scale);
          for (std::size_t r = 1; r < kRows; ++r) {
            if (r < rows) sum = sum + x[r] * (load_float(factors.p_at(k + c, i + r)) * scale);
          }
          sums[c] = sums[c] + sum;
        }
        i += rows;
      }
      for (std::size_t c = 0; c < kRanks; ++c) {
        if (c < ranks) out[(k + c) * shape.columns + column] = sums[c];
      }
    });
  }
};

// Q^T of all blocks, and as a payload.
struct AddUpBack {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  PowerSgdFactors factors;

  std::size_t teams() const { return parts_of(factors.shape.rank * factors.shape.columns, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const PowerSgdShape shape = factors.shape;
    const std::size_t floats = shape.rank * shape.columns;
    const std::size_t blocks = (shape.rows + PowerSgdShape::kBlockRows - 1) / PowerSgdShape::kBlockRows;
    team.each([&](unsigned thread) {
      const std::size_t i = number * kThreads + thread;
      if (i >= floats) return;
      float sum = factors.q[i];
      for (std::size_t block = 1; block < blocks; ++block) sum = sum + factors.more[(block - 1) * floats + i];
      const float x = smaller(larger(sum / factors.scale(), -shape.most()), shape.most());
      factors.q[i] = x;
      store_float(factors.p_at(shape.rank, 0) + i * sizeof x, x);
    });
  }
};

// What is kept of Q: each column in multiples of its largest magnitude.
struct NormalizeColumns {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  PowerSgdFactors factors;

  std::size_t teams() const { return factors.shape.rank; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t columns = factors.shape.columns;
    float* const column = factors.q + number * columns;
    const float size = float_of(team.largest([&](unsigned thread) {
      std::uint32_t found = 0;
      for (std::size_t i = thread; i < columns; i += kThreads)
        found = larger(found, magnitude_bits(column[i]));
      return found;
    }));
    team.each([&](unsigned thread) {
      for (std::size_t i = thread; i < columns; i += kThreads)
        column[i] = size < kLeastColumn ? 0 : column[i] / size;
    });
  }
};

// sum += weight P Q^T.
struct AddProduct {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 128;
  static constexpr std::size_t kRows = 8, kRanks = PowerSgdShape::kTileRanks;

  const std::uint8_t* payload;
  PowerSgdShape shape;
  float weight;
  float* sum;

  std::size_t teams() const { return parts_of(shape.rows, kRows) * parts_of(shape.columns, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t tiles = (shape.columns + kThreads - 1) / kThreads;
    const std::size_t first = number / tiles * kRows, rows = smaller(kRows, shape.rows - first);
    const auto factor = [&](std::size_t i) { return load_float(payload + i * sizeof(float)); };
    team.each([&](unsigned thread) {
      const std::size_t column = number % tiles * kThreads + thread;
      if (column >= shape.columns) return;
      float* const out = sum + first * shape.columns + column;
      float x[kRows];
      for (std::size_t r = 0; r < kRows; ++r) x[r] = r < rows ? out[r * shape.columns] : 0;
      for (std::size_t k = 0; k < shape.rank;) {
        const std::size_t ranks = shape.rank - k < kRanks ? 1 : kRanks;
        float q[kRanks] = {};
        for (std::size_t c = 0; c < kRanks; ++c) {
          if (c < ranks) q[c] = factor(shape.rank * shape.rows + (k + c) * shape.columns + column) * weight;
        }
        for (std::size_t r = 0; r < kRows; ++r) {
          if (r >= rows) continue;
          float product = q[0] * factor(k * shape.rows + first + r);
          for (std::size_t c = 1; c < kRanks; ++c) {
            if (c < ranks) product = product + q[c] * factor((k + c) * shape.rows + first + r);
          }
          x[r] = x[r] + product;
        }
        k += ranks;
      }
      for (std::size_t r = 0; r < kRows; ++r) {
        if (r < rows) out[r * shape.columns] = x[r];
      }
    });
  }
};

}  // namespace gossamer::cuda
