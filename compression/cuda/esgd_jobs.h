// eSGD, up to its choice, which is that of the k largest ranks: those that its places' weights draw, or,
// where they are to stay, the marks of the last message.
#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// residual <- momentum * residual + values; and of each team, how many places are marked.
struct AccumulateResidual {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads, kPart = kEach * kStride;

  const float* values;
  float momentum;
  float* residual;
  const float* marks;
  std::size_t n;
  std::uint64_t* marked;
  std::uint32_t* refused;

  std::size_t teams() const { return parts_of(n, kPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t begin = number * kPart, end = begin + kPart;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n) &&
                       are_whole(marks, begin, end, n);
    typename Team::template PerThread<std::uint32_t> before;
    const std::uint32_t total = team.prefix(before, [&](unsigned thread) {
      const std::size_t first = begin + 4 * thread;
      const auto more = load<kEach>(values, first, kStride, n, whole);
      const auto mark = load<kEach>(marks, first, kStride, n, whole);
      auto sum = load<kEach>(residual, first, kStride, n, whole);
      std::uint32_t own = 0;
      for (int j = 0; j < kEach; ++j) {
        for (int c = 0; c < 4; ++c) {
          sum.quad[j].at[c] = momentum * sum.quad[j].at[c] + more.quad[j].at[c];
          own += magnitude_of(mark.quad[j].at[c]) >= 1 ? 1 : 0;
        }
      }
      if (largest_magnitude_of(sum) >= kInfinityBits) refuse(refused);
      store(residual, sum, first, kStride, n, whole);
      return own;
    });
    team.each([&](unsigned thread) {
      if (thread == 0) marked[number] = total;
    });
  }
};

// Whether the places stay: the loss falls, and as many are marked as there should be.
struct DecidePlaces {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  const std::uint64_t* marked;
  std::size_t parts, k;
  float loss;
  float* last_loss;
  std::uint32_t* stay;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    typename Team::template PerThread<std::uint64_t> before;
    const std::uint64_t total = team.prefix(before, [&](unsigned thread) {
      std::uint64_t own = 0;
      for (std::size_t part = thread; part < parts; part += kThreads) own += marked[part];
      return own;
    });
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      *stay = loss < *last_loss && total == k ? 1 : 0;
      // Of a loss that is no number nothing can fall.
      *last_loss = magnitude_bits(loss) < kInfinityBits ? loss : -kLargestFloat;
    });
  }
};

// The ranks; and no mark stays.
struct DrawRanks {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr unsigned kTasks = 2;  // of a thread: two quads each, half a chunk apart
  static constexpr std::size_t kPart = kTasks * 8 * kThreads, kHalf = kChunk / 2;

  const float* residual;
  float* marks;
  float* ranks;
  std::size_t n;
  std::uint64_t key;
  const std::uint32_t* stay;

  std::size_t teams() const { return parts_of(n, kPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t begin = number * kPart, end = begin + kPart;
    const bool whole = are_whole(residual, begin, end, n) && are_whole(marks, begin, end, n) &&
                       are_whole(ranks, begin, end, n);
    const bool stays = *stay != 0;
    team.each([&](unsigned thread) {
      for (unsigned task = 0; task < kTasks; ++task) {
        const std::size_t within = task * (kThreads / kChunkCounters) + thread / kChunkCounters;
        const std::size_t chunk = begin / kChunk + within, counter = thread % kChunkCounters;
        const std::size_t first = chunk * kChunk + 4 * counter;
        if (first >= n) return;
        Quads<2> rank = load<2>(stays ? marks : residual, first, kHalf, n, whole);
        if (!stays) {
          const RandomWords high = random_words(key, 2 * chunk * kChunkCounters + counter),
                            low = random_words(key, (2 * chunk + 1) * kChunkCounters + counter);
          for (unsigned half = 0; half < 2; ++half) {
            for (unsigned c = 0; c < 4; ++c) {
              float& x = rank.quad[half].at[c];
              x = rank_of(x, random_bits(high, half, c), random_bits(low, half, c));
            }
          }
        }
        store(ranks, rank, first, kHalf, n, whole);
        store(marks, Quads<2>{}, first, kHalf, n, whole);
      }
    });
  }

 private:
  GOSSAMER_DEVICE static float rank_of(float x, std::int32_t high, std::int32_t low) {
    const std::int32_t bits = (high << 8) + (low >> 8);
    const float u = static_cast<float>(bits + 1) * 0x1p-24F;
    return smaller(magnitude_of(x) / u, kLargestFloat);
  }
};

// The values of the chosen places, which are marked.
struct TakeMarked {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  const std::uint32_t* indices;
  float* values;
  std::size_t k;
  float* residual;
  float* marks;

  std::size_t teams() const { return parts_of(k, kThreads); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    team.each([&](unsigned thread) {
      const std::size_t i = number * kThreads + thread;
      if (i >= k) return;
      const std::uint32_t at = indices[i];
      values[i] = residual[at];
      residual[at] = 0;
      marks[at] = 1;
    });
  }
};

}  // namespace gossamer::cuda
