// The choice of the values that the sparse methods send: of what is listed the k-th largest, by counting the
// digits of the magnitudes, whose bits are ordered as they are; then the chosen ones, in order.
#pragma once

#include "compression/cuda/sparse_jobs.h"

namespace gossamer::cuda {

// Finds the next digit of the k-th largest magnitude by how many there are of each. One thread calls found().
template <unsigned threads, class Team, class Found>
GOSSAMER_DEVICE void find_digit(Team& team, const std::uint32_t* bins, Digit digit, Rank before,
                                const Found& found) {
  const unsigned own_bins = digit.bins() / threads;
  typename Team::template PerThread<std::uint32_t> above;
  const auto own_bin = [&](unsigned thread, unsigned k) {
    return digit.bins() - 1 - (thread * own_bins + k);
  };
  team.prefix(above, [&](unsigned thread) {
    std::uint32_t own = 0;
    for (unsigned k = 0; k < own_bins; ++k) own += bins[own_bin(thread, k)];
    return own;
  });
  team.each([&](unsigned thread) {
    std::uint32_t more = above[thread];
    for (unsigned k = 0; k < own_bins; ++k) {
      const unsigned bin = own_bin(thread, k);
      const std::uint32_t own = bins[bin];
      if (more < before.left && before.left <= more + own)
        found(Rank{before.bits | bin << digit.shift(), before.left - more});
      more += own;
    }
  });
}

// Teams that go through a few segments each, a row of 32 threads a segment.
struct Rows {
  static constexpr unsigned kThreads = 256, kRow = 32, kRows = kThreads / kRow;
  static constexpr std::size_t kSegments = 32;

  // f(segment, i, value) of the thread's share of what is listed in the team's segments.
  template <class F>
  GOSSAMER_DEVICE static void each(const Listed& listed, bool lists_suffice, std::size_t team,
                                   std::size_t segments, unsigned thread, const F& f) {
    const std::size_t end = smaller((team + 1) * kSegments, segments);
    for (std::size_t segment = team * kSegments + thread / kRow; segment < end; segment += kRows) {
      const auto part = listed.part(segment, lists_suffice);
      for (std::uint32_t i = thread % kRow; i < part.count; i += kRow) f(segment, part.values[i]);
    }
  }
};

// Counts a digit of those that have the digits before it.
template <int digit>
struct CountDigits {
  static constexpr unsigned kThreads = Rows::kThreads;
  struct Shared {
    std::uint32_t bins[kBins];
    Rank rank;
  };

  Listed listed;
  std::uint32_t k;
  Choosing* choosing;

  std::size_t teams() const { return parts_of(listed.segments(), Rows::kSegments); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const Digit own{digit};
    team.each([&](unsigned thread) {
      for (unsigned bin = thread; bin < own.bins(); bin += kThreads) shared.bins[bin] = 0;
      if (thread == 0) shared.rank = {0, k};
    });
    if constexpr (digit > 0) {
      constexpr int kBefore = digit - 1;
      const Rank before = kBefore == 0 ? Rank{0, k} : choosing->after[kBefore > 0 ? kBefore - 1 : 0];
      find_digit<kThreads>(team, choosing->bins[kBefore], Digit{kBefore}, before, [&](Rank rank) {
        shared.rank = rank;
        if (number == 0) choosing->after[kBefore] = rank;
      });
    }
    const Rank rank = shared.rank;
    const bool suffice = choosing->listed >= k;
    const std::size_t segments = (listed.n + kSegment - 1) / kSegment;
    team.each([&](unsigned thread) {
      Rows::each(listed, suffice, number, segments, thread, [&](std::size_t, float x) {
        const std::uint32_t magnitude = magnitude_bits(x);
        if (own.belongs(magnitude, rank)) add_to(&shared.bins[own.of(magnitude)], 1);
      });
    });
    team.each([&](unsigned thread) {
      for (unsigned bin = thread; bin < own.bins(); bin += kThreads) {
        if (shared.bins[bin] != 0) add_to(&choosing->bins[digit][bin], shared.bins[bin]);
      }
    });
  }
};

// Of each segment: how many are above the magnitude found, in the upper half, and how many equal it.
using Shares = std::uint64_t;
GOSSAMER_DEVICE inline Shares shares_of(std::uint32_t above, std::uint32_t equal) {
  return Shares{above} << 32U | equal;
}
// How many of both are chosen, of the first so many.
GOSSAMER_DEVICE inline std::uint32_t chosen_of(Shares shares, std::uint32_t left) {
  return static_cast<std::uint32_t>(shares >> 32U) + smaller(static_cast<std::uint32_t>(shares), left);
}

// With `finds` behind CountDigits, without behind SetThreshold.
template <bool finds>
struct CountChosen {
  static constexpr unsigned kThreads = Rows::kThreads;
  struct Shared {
    std::uint32_t above[Rows::kSegments], equal[Rows::kSegments];
    Rank rank;
  };

  Listed listed;
  std::uint32_t k;  // 0 without `finds`
  Choosing* choosing;
  Shares* shares;

  std::size_t teams() const { return parts_of(listed.segments(), Rows::kSegments); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    team.each([&](unsigned thread) {
      if (thread < Rows::kSegments) shared.above[thread] = shared.equal[thread] = 0;
      if (thread == 0 && !finds) shared.rank = choosing->after[kDigits - 1];
    });
    if constexpr (finds) {
      find_digit<kThreads>(team, choosing->bins[kDigits - 1], Digit{kDigits - 1},
                           choosing->after[kDigits - 2], [&](Rank rank) {
                             shared.rank = rank;
                             if (number == 0) choosing->after[kDigits - 1] = rank;
                           });
    }
    const std::uint32_t least = shared.rank.bits;
    const bool suffice = choosing->listed >= k;
    const std::size_t segments = (listed.n + kSegment - 1) / kSegment;
    team.each([&](unsigned thread) {
      Rows::each(listed, suffice, number, segments, thread, [&](std::size_t segment, float x) {
        const std::uint32_t magnitude = magnitude_bits(x);
        if (magnitude > least) add_to(&shared.above[segment % Rows::kSegments], 1);
        if (magnitude == least) add_to(&shared.equal[segment % Rows::kSegments], 1);
      });
    });
    team.each([&](unsigned thread) {
      const std::size_t segment = number * Rows::kSegments + thread;
      if (thread < Rows::kSegments && segment < segments)
        shares[segment] = shares_of(shared.above[thread], shared.equal[thread]);
    });
  }
};

// In the place of each segment's shares those of all before it.
struct AddUpShares {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 1024;

  std::size_t segments;
  Choosing* choosing;
  Shares* shares;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    const Shares sum = sum_up_before<kThreads>(team, shares, segments);
    team.each([&](unsigned thread) {
      if (thread == 0) choosing->chosen = chosen_of(sum, choosing->after[kDigits - 1].left);
    });
  }
};

// What is chosen, in order.
struct Chosen {
  std::uint32_t* indices;
  float* values;
};

// What adacomp keeps besides: the number of the message that each value was last in, and that of the last
// one.
struct Ages {
  float* last;  // null: another method
  const float* messages;
  bool divides;
};

// Writes what is chosen one behind the other, and takes it out of the residual.
struct WriteChosen {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kWarp;

  Listed listed;
  std::uint32_t k;  // 0 behind SetThreshold
  const Choosing* choosing;
  const Shares* shares;
  float* residual;
  Momentum momentum;
  bool sends_tau;  // in the place of a value, with its sign
  float tau;
  Ages ages;
  Chosen chosen;

  std::size_t teams() const { return listed.segments(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const auto part = listed.part(number, choosing->listed >= k);
    const Rank rank = choosing->after[kDigits - 1];
    const bool masks = momentum.masks(choosing->nonzero, k);
    Shares sum = shares[number];
    typename Team::template PerThread<Shares> before;
    typename Team::template PerThread<float> values;
    for (std::uint32_t tile = 0; tile < part.count; tile += kThreads) {
      const Shares total = team.prefix(before, [&](unsigned thread) {
        const std::uint32_t i = tile + thread;
        if (i >= part.count) return Shares{0};
        const float x = values[thread] = part.values[i];
        return shares_of(magnitude_bits(x) > rank.bits ? 1 : 0, magnitude_bits(x) == rank.bits ? 1 : 0);
      });
      team.each([&](unsigned thread) {
        const std::uint32_t i = tile + thread;
        if (i >= part.count) return;
        const float x = values[thread];
        const std::uint32_t magnitude = magnitude_bits(x);
        const Shares here = sum + before[thread];
        const bool has_room = static_cast<std::uint32_t>(here) < rank.left;
        if (magnitude < rank.bits || (magnitude == rank.bits && !has_room)) return;
        const std::uint32_t at = chosen_of(here, rank.left), index = part.index(i);
        chosen.indices[at] = index;
        chosen.values[at] = ages.last == nullptr ? x : aged(x, index);
        if (residual != nullptr) residual[index] = sends_tau ? x - (x < 0 ? -tau : tau) : 0.0F;
        if (masks) momentum.velocity[index] = 0;
      });
      sum += total;
    }
  }

 private:
  GOSSAMER_DEVICE float aged(float x, std::uint32_t index) const {
    const float now = *ages.messages + 1, waited = now - ages.last[index];
    ages.last[index] = now;
    return ages.divides && waited > 1 ? x / waited : x;
  }
};

// The velocity of zeros, where it took the whole vector to know that it goes; which is seldom.
struct MaskLate {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr std::size_t kTeams = 1024;

  const float* residual;
  Momentum momentum;
  std::uint32_t k;
  std::size_t n;
  const Choosing* choosing;

  std::size_t teams() const { return n < kTeams * kThreads ? parts_of(n, kThreads) : kTeams; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    if (choosing->late == 0 || !momentum.masks(choosing->nonzero, k)) return;
    team.each([&](unsigned thread) {
      for (std::size_t i = number * kThreads + thread; i < n; i += kTeams * kThreads) {
        if (residual[i] == 0) momentum.velocity[i] = 0;
      }
    });
  }
};

}  // namespace gossamer::cuda
