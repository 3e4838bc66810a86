// wangni: the bound out of sums over all values, as often as it changes them; a bit for each value, whether
// it travels; the values that do, in order; and of these, by block, how many are certain, which says where
// each one's parts lie in the payload.
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

// What of a payload follows from its values.
struct WangniParts {
  float magnitude;
  std::uint64_t certain;
  std::uint64_t codes;  // where they begin

  static constexpr std::size_t kFlags = 8;  // where these do
  GOSSAMER_DEVICE static std::size_t bytes_of_bits(std::size_t bits) { return (bits + 7) / 8; }
  GOSSAMER_DEVICE static std::size_t signs(std::size_t count) { return kFlags + bytes_of_bits(count); }
  GOSSAMER_DEVICE std::size_t floats(std::size_t count) const {
    return signs(count) + bytes_of_bits(count - certain);
  }
  GOSSAMER_DEVICE void place_codes(std::size_t count) {
    codes = count == 0 ? sizeof(std::uint32_t) : floats(count) + certain * sizeof(float);
  }
};

// The sides of each block of what travels.
struct SplitTravellers {
  static constexpr unsigned kThreads = kSplitThreads;
  using Shared = SplitShared;

  const float* values;
  std::size_t most;
  const Choosing* choosing;
  const BoundSearch* search;
  SplitTotal* totals;
  std::uint64_t* certain;  // how many are of each block

  std::size_t teams() const { return parts_of(most, kSplitFloats); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const std::size_t begin = number * kSplitFloats;
    if (begin >= choosing->chosen) return;
    const auto count = static_cast<unsigned>(smaller(kSplitFloats, choosing->chosen - begin));
    team.each([&](unsigned thread) {
      for (unsigned i = thread; i < count; i += kThreads) shared.x[i / 4].at[i % 4] = values[begin + i];
    });
    const std::uint32_t above = split_block(team, shared, count, search->bound);
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      totals[number] = {shared.lanes[0], above};
      certain[number] = above;
    });
  }
};

// Where the parts of the payload lie, the magnitude, and in the place of each block's certain ones those of
// all before it.
struct PlaceWangniParts {
  static constexpr unsigned kThreads = 256;
  using Shared = SplitShared;

  const SplitTotal* totals;
  bool unbiased;
  const Choosing* choosing;
  const BoundSearch* search;
  std::uint64_t* certain;
  WangniParts* parts;
  std::uint8_t* payload;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    const std::size_t count = choosing->chosen, blocks = (count + kSplitFloats - 1) / kSplitFloats;
    team.each([&](unsigned thread) {
      if (thread >= kSplitTotals) return;
      shared.totals[thread] = 0;
      for (std::size_t block = thread; block < blocks; block += kSplitTotals)
        shared.totals[thread] = shared.totals[thread] + totals[block].below;
    });
    const std::uint64_t all = sum_up_before<kThreads>(team, certain, blocks);
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      parts->magnitude = search->bound;
      parts->certain = all;
      if (!unbiased && all < count)
        parts->magnitude =
            static_cast<float>(sum_of_totals(shared.totals) / static_cast<double>(count - all));
      parts->place_codes(count);
      if (count > 0) store_float(payload + sizeof(std::uint32_t), parts->magnitude);
    });
  }
};

// Of the values that travel, a team a block: a thread has those of 32 flags.
struct TravellersOfBlock {
  static constexpr unsigned kThreads = kSplitFloats / 32;

  const float* values;
  const Choosing* choosing;
  const BoundSearch* search;
  const std::uint64_t* certain;  // before each block

  struct Own {
    std::size_t begin;
    unsigned count;
    std::uint32_t flags;
    std::size_t certain;  // before them
  };

  // use(thread, own) with those of each thread.
  template <class Team, class Use>
  GOSSAMER_DEVICE void each(Team& team, std::size_t number, const Use& use) const {
    const std::size_t count = choosing->chosen;
    if (number * kSplitFloats >= count) return;
    const float bound = search->bound;
    typename Team::template PerThread<Own> own;
    typename Team::template PerThread<std::uint32_t> before;
    team.prefix(before, [&](unsigned thread) {
      const std::size_t begin = number * kSplitFloats + 32 * thread;
      own[thread] = {begin, static_cast<unsigned>(smaller(std::size_t{32}, left_of(count, begin))), 0, 0};
      for (unsigned k = 0; k < own[thread].count; ++k) {
        if (!(magnitude_of(values[begin + k]) < bound)) own[thread].flags |= 1U << k;
      }
      return count_ones(own[thread].flags);
    });
    team.each([&](unsigned thread) {
      own[thread].certain = certain[number] + before[thread];
      if (own[thread].count > 0) use(thread, own[thread]);
    });
  }
};

// The flags and the floats, and zeros where the signs will be.
struct WriteCertain {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = TravellersOfBlock::kThreads;

  TravellersOfBlock travellers;
  std::size_t most;
  const WangniParts* parts;
  std::uint8_t* payload;

  std::size_t teams() const { return parts_of(most, kSplitFloats); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t count = travellers.choosing->chosen;
    const std::size_t signs = WangniParts::signs(count), floats = parts->floats(count);
    travellers.each(team, number, [&](unsigned, const TravellersOfBlock::Own& own) {
      store_bytes(payload + WangniParts::kFlags + own.begin / 8, own.flags,
                  WangniParts::bytes_of_bits(own.count));
      std::size_t at = own.certain;
      for (std::uint32_t flags = own.flags; flags != 0; flags &= flags - 1)
        store_float(payload + floats + at++ * sizeof(float),
                    travellers.values[own.begin + trailing_zeros(flags)]);
      // As many bytes as there would be if none were certain.
      for (std::size_t k = own.begin / 8; k < (own.begin + own.count + 7) / 8 && signs + k < floats; ++k)
        payload[signs + k] = 0;
    });
  }
};

// The signs of the others; and what is sent leaves the residual.
struct WriteUncertain {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = TravellersOfBlock::kThreads;

  TravellersOfBlock travellers;
  std::size_t most;
  const WangniParts* parts;
  const std::uint32_t* indices;
  float* residual;
  std::uint8_t* payload;

  std::size_t teams() const { return parts_of(most, kSplitFloats); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t signs = WangniParts::signs(travellers.choosing->chosen);
    travellers.each(team, number, [&](unsigned, const TravellersOfBlock::Own& own) {
      std::uint64_t bits = 0;
      unsigned uncertain = 0;
      for (unsigned k = 0; k < own.count; ++k) {
        const float x = travellers.values[own.begin + k];
        const bool is_certain = (own.flags >> k & 1U) != 0;
        if (!is_certain) bits |= std::uint64_t{x < 0 ? 1U : 0U} << uncertain++;
        if (residual == nullptr) continue;
        float& left = residual[indices[own.begin + k]];
        left = plus(left, -1, is_certain ? x : x < 0 ? -parts->magnitude : parts->magnitude);
      }
      const std::size_t at = 8 * signs + own.begin - own.certain;
      bits <<= at % 32;
      std::uint8_t* const word = payload + at / 32 * 4;
      const auto low = static_cast<std::uint32_t>(bits), high = static_cast<std::uint32_t>(bits >> 32U);
      if (low != 0) or_into(word, low);
      if (high != 0) or_into(word + 4, high);
    });
  }
};

// To decode: how many of each 256 flags are set.
inline constexpr std::size_t kFlagGroup = 256;

struct CountFlags {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  const std::uint8_t* payload;
  std::size_t n;
  std::uint64_t* certain;

  std::size_t teams() const { return parts_of(n, kFlagGroup * kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t count = load_bytes(payload, sizeof(std::uint32_t));
    const std::size_t bytes = WangniParts::bytes_of_bits(count);
    team.each([&](unsigned thread) {
      const std::size_t group = number * kThreads + thread;
      if (group * kFlagGroup >= count) return;
      std::uint64_t own = 0;
      for (std::size_t k = group * kFlagGroup / 8; k < (group + 1) * kFlagGroup / 8; k += 4)
        own += count_ones(load_bytes(payload + WangniParts::kFlags + k, left_of(bytes, k)));
      certain[group] = own;
    });
  }
};

// And where the parts lie.
struct PlaceReceivedParts {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  const std::uint8_t* payload;
  std::uint64_t* certain;
  WangniParts* parts;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    const std::size_t count = load_bytes(payload, sizeof(std::uint32_t));
    const std::uint64_t all = sum_up_before<kThreads>(team, certain, (count + kFlagGroup - 1) / kFlagGroup);
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      parts->magnitude = count == 0 ? 0.0F : load_float(payload + sizeof(std::uint32_t));
      parts->certain = all;
      parts->place_codes(count);
    });
  }
};

// The values behind AddSparse's indices.
struct WangniValues {
  const std::uint8_t* payload;
  const std::uint64_t* certain;
  const WangniParts* parts;

  GOSSAMER_DEVICE float at(const std::uint8_t*, std::size_t i) const {
    const std::size_t count = load_bytes(payload, sizeof(std::uint32_t));
    const std::size_t bytes = WangniParts::bytes_of_bits(count);
    const auto flags_at = [&](std::size_t word) {
      return load_bytes(payload + WangniParts::kFlags + 4 * word, left_of(bytes, 4 * word));
    };
    std::size_t before = certain[i / kFlagGroup];
    for (std::size_t word = i / kFlagGroup * (kFlagGroup / 32); word < i / 32; ++word)
      before += count_ones(flags_at(word));
    const std::uint32_t flags = flags_at(i / 32), own = std::uint32_t{1} << (i % 32);
    before += count_ones(flags & (own - 1));
    if ((flags & own) != 0) return load_float(payload + parts->floats(count) + before * sizeof(float));
    const std::size_t sign = i - before;
    const bool negative = (payload[WangniParts::signs(count) + sign / 8] >> (sign % 8) & 1U) != 0;
    return negative ? -parts->magnitude : parts->magnitude;
  }
};

}  // namespace gossamer::cuda
