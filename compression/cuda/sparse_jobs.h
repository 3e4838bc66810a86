// Of the values that the sparse methods choose from a list of the few large ones, made in the one pass that
// takes the residual and the momentum in.
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

}  // namespace gossamer::cuda
