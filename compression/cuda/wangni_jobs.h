// wangni: the bound out of sums over all values, as often as it changes them; a bit for each value, whether
// it travels; and the values that do, in order.
#pragma once

#include "compression/cuda/index_jobs.h"
#include "compression/wangni_bound.h"

namespace gossamer::cuda {

// The sides of a block of kSplitFloats values.
struct SplitTotal {
  double below;
  std::uint32_t above;
};

inline constexpr unsigned kSplitThreads = 256;

struct SplitShared {
  Quad x[kSplitFloats / 4];
  double lanes[kSplitLanes];
  double totals[kSplitTotals];
};

// Of the first `count` values in shared.x: returns how many are not below the bound, and leaves the sum of
// the others in shared.lanes[0].
template <class Team>
GOSSAMER_DEVICE std::uint32_t split_block(Team& team, SplitShared& shared, unsigned count, float bound) {
  typename Team::template PerThread<std::uint32_t> before;
  const std::uint32_t above = team.prefix(before, [&](unsigned thread) {
    std::uint32_t own = 0;
    for (unsigned i = thread; i < count; i += kSplitThreads)
      own += magnitude_of(shared.x[i / 4].at[i % 4]) < bound ? 0 : 1;
    if (thread >= kSplitLanes) return own;
    double sum = 0;
    GOSSAMER_UNROLL_16
    for (unsigned i = thread; i < count; i += kSplitLanes) {
      const float magnitude = magnitude_of(shared.x[i / 4].at[i % 4]);
      sum = sum + (magnitude < bound ? static_cast<double>(magnitude) : 0.0);
    }
    shared.lanes[thread] = sum;
    return own;
  });
  team.each([&](unsigned thread) {
    if (thread != 0) return;
    for (unsigned half = kSplitLanes / 2; half > 0; half /= 2) {
      for (unsigned lane = 0; lane < half; ++lane)
        shared.lanes[lane] = shared.lanes[lane] + shared.lanes[lane + half];
    }
  });
  return above;
}

GOSSAMER_DEVICE inline double sum_of_totals(const double (&totals)[kSplitTotals]) {
  double sum = 0;
  for (const double total : totals) sum = sum + total;
  return sum;
}

// What is above and below of each block. `first`: of values + residual, which is left in the residual, at an
// infinite bound; otherwise nothing where the bound has been found.
template <bool first>
struct SplitValues {
  static constexpr unsigned kThreads = kSplitThreads;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads;
  static_assert(kEach * kStride == kSplitFloats);
  using Shared = SplitShared;

  const float* values;
  float* residual;
  std::size_t n;
  const BoundSearch* search;
  SplitTotal* totals;

  std::size_t teams() const { return parts_of(n, kSplitFloats); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    if (!first && search->found != 0) return;
    const float bound = first ? float_of(kInfinityBits) : search->bound;
    const std::size_t begin = number * kSplitFloats, end = begin + kSplitFloats;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    team.each([&](unsigned thread) {
      const std::size_t from = begin + 4 * thread;
      const bool sums = first || residual == nullptr;
      const auto x = sums ? load_sums<kEach>(values, residual, from, kStride, n, whole)
                          : load<kEach>(residual, from, kStride, n, whole);
      if (first && residual != nullptr) store(residual, x, from, kStride, n, whole);
      for (int j = 0; j < kEach; ++j) shared.x[j * kThreads + thread] = x.quad[j];
    });
    const auto count = static_cast<unsigned>(smaller(kSplitFloats, n - begin));
    const std::uint32_t above = split_block(team, shared, count, bound);
    team.each([&](unsigned thread) {
      if (thread == 0) totals[number] = {shared.lanes[0], above};
    });
  }
};

// The next bound out of the blocks' sums.
template <bool first>
struct FindBound {
  static constexpr unsigned kThreads = kSplitTotals;
  struct Shared {
    double totals[kThreads];
    std::uint64_t above[kThreads];
  };

  const SplitTotal* totals;
  std::size_t n;
  double density;
  BoundSearch* search;
  std::uint32_t* refused;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    if (!first && search->found != 0) return;
    const std::size_t blocks = (n + kSplitFloats - 1) / kSplitFloats;
    team.each([&](unsigned thread) {
      shared.totals[thread] = 0;
      shared.above[thread] = 0;
      for (std::size_t block = thread; block < blocks; block += kThreads) {
        shared.totals[thread] = shared.totals[thread] + totals[block].below;
        shared.above[thread] += totals[block].above;
      }
    });
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      std::uint64_t above = 0;
      for (const std::uint64_t of_thread : shared.above) above += of_thread;
      if (first) *search = BoundSearch();
      if (first && above > 0) {
        refuse(refused);
        search->bound = 0;
        search->found = 1;
        return;
      }
      search->take({sum_of_totals(shared.totals), above}, density, BoundSearch::kept_of(density, n));
    });
  }
};

// Goes on to the end with one team, where the bound is still not found: of values that differ by many orders.
struct FindBoundAlone {
  static constexpr unsigned kThreads = kSplitThreads;
  using Shared = SplitShared;

  const float* values;  // with the residual
  std::size_t n;
  double density;
  BoundSearch* search;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    while (search->found == 0) {
      const float bound = search->bound;
      std::uint64_t above = 0;
      team.each([&](unsigned thread) {
        if (thread < kSplitTotals) shared.totals[thread] = 0;
      });
      for (std::size_t begin = 0; begin < n; begin += kSplitFloats) {
        const auto count = static_cast<unsigned>(smaller(kSplitFloats, n - begin));
        team.each([&](unsigned thread) {
          for (unsigned i = thread; i < count; i += kThreads) shared.x[i / 4].at[i % 4] = values[begin + i];
        });
        above += split_block(team, shared, count, bound);
        team.each([&](unsigned thread) {
          double& total = shared.totals[begin / kSplitFloats % kSplitTotals];
          if (thread == 0) total = total + shared.lanes[0];
        });
      }
      team.each([&](unsigned thread) {
        if (thread == 0)
          search->take({sum_of_totals(shared.totals), above}, density, BoundSearch::kept_of(density, n));
      });
    }
  }
};

// Draws which values travel: a bit for each, and of each segment, how many.
struct DrawTravellers {
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kTasks = 2;  // of a thread: two quads each, half a chunk apart
  static constexpr std::size_t kHalf = kChunk / 2;
  static constexpr unsigned kWords = kSegment / 32;
  static_assert(kTasks * 8 * kThreads == kSegment);
  struct Shared {
    std::uint32_t words[kWords];
  };

  const float* values;  // with the residual
  std::size_t n;
  std::uint64_t key;
  const BoundSearch* search;
  std::uint32_t* travel;
  std::uint64_t* counts;

  std::size_t teams() const { return parts_of(n, kSegment); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const std::size_t begin = number * kSegment;
    const bool whole = are_whole(values, begin, begin + kSegment, n);
    const float bound = search->bound;
    team.each([&](unsigned thread) {
      if (thread < kWords) shared.words[thread] = 0;
    });
    typename Team::template PerThread<std::uint32_t> before;
    const std::uint32_t total = team.prefix(before, [&](unsigned thread) {
      std::uint32_t own = 0;
      for (unsigned task = 0; task < kTasks; ++task) {
        const std::size_t chunk =
            begin / kChunk + task * (kThreads / kChunkCounters) + thread / kChunkCounters;
        const std::size_t counter = thread % kChunkCounters, first = chunk * kChunk + 4 * counter;
        if (first >= n || bound == 0) continue;
        const auto x = load<2>(values, first, kHalf, n, whole);
        const RandomWords random = random_words(key, chunk * kChunkCounters + counter);
        for (unsigned half = 0; half < 2; ++half) {
          const std::size_t at = first + half * kHalf;
          std::uint32_t bits = 0;
          for (unsigned c = 0; c < 4; ++c) {
            if (at + c < n && travels(x.quad[half].at[c], bound, random_bits(random, half, c), key, at + c))
              bits |= 1U << c;
          }
          add_to(&shared.words[(at - begin) / 32], bits << (at % 32));
          own += count_ones(bits);
        }
      }
      return own;
    });
    team.each([&](unsigned thread) {
      if (thread < kWords) travel[number * kWords + thread] = shared.words[thread];
      if (thread == 0) counts[number] = total;
    });
  }

 private:
  // `drawn` are the first bits; the others are drawn where they count.
  GOSSAMER_DEVICE static bool travels(float x, float bound, std::int32_t drawn, std::uint64_t key,
                                      std::size_t index) {
    const float magnitude = magnitude_of(x);
    if (magnitude >= bound) return true;
    const float p = magnitude / bound * 65536.0F;
    const auto first = static_cast<std::int32_t>(p);
    if (drawn != first) return drawn < first;
    return uniform_of_element(key, index) < p - static_cast<float>(first);
  }
};

// In the place of each segment's count that of all before it.
struct AddUpTravellers {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 1024;

  std::uint64_t* counts;
  std::size_t segments;
  Choosing* choosing;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    const std::uint64_t sum = sum_up_before<kThreads>(team, counts, segments);
    team.each([&](unsigned thread) {
      if (thread == 0) choosing->chosen = static_cast<std::uint32_t>(sum);
    });
  }
};

// Writes those that travel one behind the other.
struct TakeTravellers {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = DrawTravellers::kWords;

  const float* values;
  std::size_t n;
  const std::uint32_t* travel;
  const std::uint64_t* counts;
  Chosen chosen;

  std::size_t teams() const { return parts_of(n, kSegment); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    typename Team::template PerThread<std::uint32_t> before;
    team.prefix(before, [&](unsigned thread) { return count_ones(travel[number * kThreads + thread]); });
    team.each([&](unsigned thread) {
      std::size_t at = counts[number] + before[thread];
      const std::size_t begin = number * kSegment + 32 * thread;
      for (std::uint32_t word = travel[number * kThreads + thread]; word != 0; word &= word - 1) {
        const std::size_t i = begin + trailing_zeros(word);
        chosen.indices[at] = static_cast<std::uint32_t>(i);
        chosen.values[at++] = values[i];
      }
    });
  }
};

}  // namespace gossamer::cuda
