// wangni's payload: of the values that travel, by block, how many are certain, which says where each one's
// parts lie; and the values out of it again.
#pragma once

#include "compression/cuda/wangni_jobs.h"

namespace gossamer::cuda {

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
