// The choice of the values that the sparse methods send: a list of the few large ones, made in the one pass
// that takes the residual and the momentum in; of what is listed the k-th largest, by counting the digits of
// the magnitudes, whose bits are ordered as they are; then the chosen ones, in order.
#pragma once

#include "compression/cuda/prefix.h"

namespace gossamer::cuda {

// Parts of a vector, of which a list is made as long as it is short; of another all values are looked at.
inline constexpr std::size_t kSegment = 4096;
inline constexpr std::uint32_t kMostListed = kSegment / 4;

// The magnitude that the search has come to: its upper digits, and how many of those that have them are to be
// chosen, of equal ones the first.
struct Rank {
  std::uint32_t bits, left;
};

inline constexpr int kDigits = 3;
inline constexpr unsigned kBins = 2048;

// What the jobs of one message know of it in common.
struct Choosing {
  std::uint32_t guess;    // bits of a magnitude that, it seems, rather more than k values have
  std::uint32_t listed;   // how many values have it, and are listed
  std::uint32_t nonzero;  // how many are not zero; of momentum only
  std::uint32_t late;     // whether there is a zero that has a velocity
  Rank after[kDigits];    // so many digits
  std::uint32_t chosen;
  std::uint64_t code_bytes;  // of their indices
  std::uint32_t bins[kDigits][kBins];
};

// Digits of 11, 11 and 9 bits, the uppermost first.
struct Digit {
  int number;
  GOSSAMER_DEVICE unsigned shift() const { return number == 0 ? 20 : number == 1 ? 9 : 0; }
  GOSSAMER_DEVICE unsigned bins() const { return number == 2 ? 512 : kBins; }
  GOSSAMER_DEVICE std::uint32_t of(std::uint32_t magnitude) const {
    return magnitude >> shift() & (bins() - 1);
  }
  // Whether a magnitude has the digits before this one that have been found.
  GOSSAMER_DEVICE bool belongs(std::uint32_t magnitude, Rank found) const {
    return number == 0 || (magnitude ^ found.bits) >> (number == 1 ? 20 : 9) == 0;
  }
};

// The lists: so many values of each segment, with their indices, in order. A segment that has more has none.
struct Lists {
  std::uint32_t* counts;
  std::uint32_t* indices;
  float* values;
};

// All of a vector, and what is listed of it.
struct Listed {
  const float* all;
  std::size_t n;
  Lists lists;

  struct Part {
    const float* values;
    const std::uint32_t* indices;  // null: of all values from `begin` on
    std::uint32_t count, begin;
    GOSSAMER_DEVICE std::uint32_t index(std::uint32_t i) const {
      return indices == nullptr ? begin + i : indices[i];
    }
  };
  // `lists_suffice`: what is chosen is listed, where there is a list.
  GOSSAMER_DEVICE Part part(std::size_t segment, bool lists_suffice) const {
    const std::size_t begin = segment * kSegment, slot = segment * kMostListed;
    const std::uint32_t count = lists.counts[segment];
    if (lists_suffice && count <= kMostListed) return {lists.values + slot, lists.indices + slot, count, 0};
    return {all + begin, nullptr, static_cast<std::uint32_t>(smaller(kSegment, n - begin)),
            static_cast<std::uint32_t>(begin)};
  }
  std::size_t segments() const { return parts_of(n, kSegment); }
};

// As in momentum_correction.cpp. Without one `velocity` is null.
struct Momentum {
  enum Masking { never, always, unless_all_is_sent };
  float* velocity;
  float factor;
  bool nesterov;
  Masking masking;
  const float* scale;  // of the values; null: 1

  // What a value is accumulated to.
  GOSSAMER_DEVICE float moved(float value, float& speed, float by) const {
    const float step = by * value;
    if (nesterov) {
      speed = factor * (speed + step);
      return speed + step;
    }
    speed = factor * speed + step;
    return speed;
  }
  GOSSAMER_DEVICE float scale_of_values() const { return scale == nullptr ? 1.0F : *scale; }
  GOSSAMER_DEVICE bool masks(std::uint32_t nonzero, std::size_t k) const {
    return velocity != nullptr && (masking == always || (masking == unless_all_is_sent && nonzero > k));
  }
};

// Finds a guess by the magnitudes of a sample, in steps of 1 / 32 of them; and sets everything else to zero.
struct GuessThreshold {
  static constexpr unsigned kThreads = 1024;
  static constexpr unsigned kSampleBins = 8192, kSampleShift = 18, kOwn = kSampleBins / kThreads;
  static constexpr std::size_t kSampled = 1U << 14U, kRun = 16;
  struct Shared {
    std::uint32_t bins[kSampleBins];
  };

  const float* values;
  const float* residual;
  Momentum momentum;
  std::size_t n;
  std::size_t rank;  // of the guess among the sample; 0: there is no sample, and the guess is 0
  Choosing* choosing;

  // As many as there are whole runs of.
  static constexpr std::size_t sampled(std::size_t n) { return (n < kSampled ? n : kSampled) / kRun * kRun; }
  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    team.each([&](unsigned thread) {
      for (unsigned bin = thread; bin < kSampleBins; bin += kThreads) shared.bins[bin] = 0;
      for (unsigned bin = thread; bin < kDigits * kBins; bin += kThreads)
        choosing->bins[bin / kBins][bin % kBins] = 0;
      if (thread != 0) return;
      choosing->guess = choosing->listed = choosing->nonzero = choosing->late = choosing->chosen = 0;
      choosing->code_bytes = 0;
      for (Rank& after : choosing->after) after = {0, 0};
    });
    if (rank == 0) return;
    const std::size_t count = sampled(n), stride = n / (count / kRun);
    team.each([&](unsigned thread) {
      const float scale = momentum.velocity == nullptr ? 1.0F : momentum.scale_of_values();
      GOSSAMER_UNROLL_16
      for (std::size_t number = thread; number < count; number += kThreads) {
        const std::size_t i = number / kRun * stride + number % kRun;
        float x = values[i];
        if (momentum.velocity != nullptr) {
          float speed = momentum.velocity[i];
          x = momentum.moved(x, speed, scale);
        }
        if (residual != nullptr) x = x + residual[i];
        add_to(&shared.bins[magnitude_bits(x) >> kSampleShift], 1);
      }
    });
    typename Team::template PerThread<std::uint32_t> above;
    const auto own_bin = [&](unsigned thread, unsigned k) { return kSampleBins - 1 - (thread * kOwn + k); };
    team.prefix(above, [&](unsigned thread) {
      std::uint32_t own = 0;
      for (unsigned k = 0; k < kOwn; ++k) own += shared.bins[own_bin(thread, k)];
      return own;
    });
    team.each([&](unsigned thread) {
      std::uint32_t before = above[thread];
      for (unsigned k = 0; k < kOwn; ++k) {
        const std::uint32_t after = before + shared.bins[own_bin(thread, k)];
        if (before < rank && rank <= after) choosing->guess = own_bin(thread, k) << kSampleShift;
        before = after;
      }
    });
  }
};

// In the place of a guess, where all that are at least a magnitude are chosen.
struct SetThreshold {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 32;

  float threshold;
  Choosing* choosing;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      choosing->guess = bits_of(threshold);
      choosing->listed = choosing->nonzero = choosing->late = choosing->chosen = 0;
      choosing->code_bytes = 0;
      choosing->after[kDigits - 1] = {bits_of(threshold), 0xFFFFFFFFU};
    });
  }
};

// Leaves values + residual, or what the momentum makes of the values + residual, in the residual, and lists
// what is at least the guess.
template <bool moved>
struct ListLarge {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads;
  static_assert(kEach * kStride == kSegment);
  // A number for each quad of a thread, of which a team has at most 1,024, and one of 4,096.
  static constexpr unsigned kField = 11, kFieldMask = (1U << kField) - 1;

  const float* values;
  float* residual;
  Momentum momentum;
  std::size_t n;
  Lists lists;
  Choosing* choosing;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, kSegment); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t begin = number * kSegment, end = begin + kSegment;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n) &&
                       (!moved || are_whole(momentum.velocity, begin, end, n));
    const std::uint32_t guess = choosing->guess;
    typename Team::template PerThread<Quads<kEach>> sums;
    typename Team::template PerThread<std::uint64_t> before;
    const std::uint64_t total = team.prefix(before, [&](unsigned thread) {
      const std::size_t first = begin + 4 * thread;
      Quads<kEach>& x = sums[thread];
      std::uint64_t nonzero = 0;
      if constexpr (moved) {
        nonzero = accumulate(x, first, whole);
      } else {
        x = load_sums<kEach>(values, residual, first, kStride, n, whole);
      }
      if (residual != nullptr) store(residual, x, first, kStride, n, whole);
      if (largest_magnitude_of(x) >= kInfinityBits) refuse(refused);
      std::uint64_t counts = nonzero << (kEach * kField);
      for (int j = 0; j < kEach; ++j) {
        for (int c = 0; c < 4; ++c) {
          if (is_large(x, first, j, c, guess)) counts += std::uint64_t{1} << (j * kField);
        }
      }
      return counts;
    });
    std::uint32_t count = 0;
    for (int j = 0; j < kEach; ++j) count += field(total, j);
    team.each([&](unsigned thread) {
      if (thread == 0) {
        lists.counts[number] = count;
        if (count > 0) add_to(&choosing->listed, count);
        if (moved) add_to(&choosing->nonzero, static_cast<std::uint32_t>(total >> (kEach * kField)));
      }
      if (count == 0 || count > kMostListed) return;
      const std::size_t first = begin + 4 * thread, slot = number * kMostListed;
      const Quads<kEach>& x = sums[thread];
      std::uint32_t of_quad = 0;
      for (int j = 0; j < kEach; ++j) {
        std::size_t at = slot + of_quad + field(before[thread], j);
        for (int c = 0; c < 4; ++c) {
          if (!is_large(x, first, j, c, guess)) continue;
          lists.indices[at] = static_cast<std::uint32_t>(first + j * kStride + c);
          lists.values[at++] = x.quad[j].at[c];
        }
        of_quad += field(total, j);
      }
    });
  }

 private:
  GOSSAMER_DEVICE static std::uint32_t field(std::uint64_t counts, int j) {
    return static_cast<std::uint32_t>(counts >> (j * kField)) & kFieldMask;
  }
  GOSSAMER_DEVICE bool is_large(const Quads<kEach>& x, std::size_t first, int j, int c,
                                std::uint32_t guess) const {
    return magnitude_bits(x.quad[j].at[c]) >= guess && first + j * kStride + c < n;
  }
  // The sums, of which it returns how many are not zero. What is zero will be zero when all is sent, so the
  // velocity goes here, where it is certain that it has to.
  GOSSAMER_DEVICE std::uint32_t accumulate(Quads<kEach>& x, std::size_t first, bool whole) const {
    const float scale = momentum.scale_of_values();
    x = load<kEach>(values, first, kStride, n, whole);
    auto speeds = load<kEach>(momentum.velocity, first, kStride, n, whole);
    const auto left = load<kEach>(residual, first, kStride, n, whole);
    std::uint32_t nonzero = 0;
    for (int j = 0; j < kEach; ++j) {
      for (int c = 0; c < 4; ++c) {
        float& speed = speeds.quad[j].at[c];
        float& sum = x.quad[j].at[c];
        sum = momentum.moved(sum, speed, scale);
        sum = sum + left.quad[j].at[c];
        if (sum != 0) {
          ++nonzero;
        } else if (momentum.masking == Momentum::always) {
          speed = 0;
        } else if (bits_of(speed) != 0) {
          refuse(&choosing->late);
        }
      }
    }
    store(momentum.velocity, speeds, first, kStride, n, whole);
    return nonzero;
  }
};

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
