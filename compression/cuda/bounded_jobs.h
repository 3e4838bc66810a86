// bounded_error. A block of the payload begins where the one before it ends, and its tags say how long it is.
// So an encoder measures all blocks before it writes one. A decoder takes every byte of a part of the payload
// for the beginning of a block, which gives where the blocks go on behind the part from each place that they
// can come to it; a short walk over the parts finds which of these is true.
#pragma once

#include "compression/cuda/prefix.h"

namespace gossamer::cuda {

// A warp has a block, of which each lane has 16 values side by side.
inline constexpr std::size_t kBoundedBlock = kChunk;
inline constexpr unsigned kBoundedOwn = kBoundedBlock / kWarp;
inline constexpr int kBoundedQuads = kBoundedOwn / 4;
inline constexpr std::size_t kBitBytes = kBoundedBlock / 8;  // a bit of each tag of a block
inline constexpr std::size_t kMostBoundedBytes = 2 * kBitBytes + kBoundedBlock * sizeof(float);

inline constexpr std::int32_t kMostOf8 = 127, kMostOf16 = 32767;

// How many values have bodies of 8, of 16 and of 32 bits, of a block at most: ten bits each, so that their
// sums are one.
struct BoundedCounts {
  std::uint32_t packed;

  GOSSAMER_DEVICE std::size_t of8() const { return packed & 0x3FFU; }
  GOSSAMER_DEVICE std::size_t of16() const { return packed >> 10U & 0x3FFU; }
  GOSSAMER_DEVICE std::size_t of32() const { return packed >> 20U; }
  GOSSAMER_DEVICE std::size_t bytes() const { return of8() + 2 * of16() + 4 * of32(); }
};

// The lower and the upper bits of the tags of some values, the first value's lowest.
struct BoundedTags {
  std::uint32_t low, high;

  GOSSAMER_DEVICE BoundedCounts counts() const {
    return {count_ones(low & ~high) | count_ones(high & ~low) << 10U | count_ones(low & high) << 20U};
  }
  GOSSAMER_DEVICE unsigned at(unsigned i) const { return (low >> i & 1U) | (high >> i & 1U) << 1U; }
};

// The nearest number of steps; of what is larger than kMostOf16, or no number, anything that is.
GOSSAMER_DEVICE inline std::int32_t bounded_steps(float x, float inverse) {
  const std::int32_t steps =
      round_to_nearest(smaller(magnitude_of(x) * inverse, static_cast<float>(kMostOf16 + 1)));
  return x < 0 ? -steps : steps;
}

GOSSAMER_DEVICE inline unsigned bounded_tag(std::int32_t steps) {
  const std::int32_t size = steps < 0 ? -steps : steps;
  return size == 0 ? 0 : size <= kMostOf8 ? 1 : size <= kMostOf16 ? 2 : 3;
}

GOSSAMER_DEVICE inline BoundedTags bounded_tags(const Quads<kBoundedQuads>& x, float inverse) {
  BoundedTags tags{0, 0};
  for (int j = 0; j < kBoundedQuads; ++j) {
    for (int c = 0; c < 4; ++c) {
      const unsigned tag = bounded_tag(bounded_steps(x.quad[j].at[c], inverse));
      tags.low |= (tag & 1U) << (4 * j + c);
      tags.high |= tag >> 1U << (4 * j + c);
    }
  }
  return tags;
}

// What is added of a value: as the processor does, nothing to those whose body is longer than 8 bits, and
// then these.
GOSSAMER_DEVICE inline float plus_bounded(float sum, float weight, unsigned tag, std::int32_t steps, float x,
                                          float step) {
  sum = plus(sum, weight, static_cast<float>(tag == 1 ? steps : 0) * step);
  if (tag == 2) sum = plus(sum, weight, static_cast<float>(steps) * step);
  return tag == 3 ? plus(sum, weight, x) : sum;
}

// Where a lane's bodies lie, behind the beginning of the block.
struct BoundedPlaces {
  std::size_t at8, at16, at32;

  GOSSAMER_DEVICE BoundedPlaces(std::size_t tag_bytes, BoundedCounts all, BoundedCounts before)
      : at8(tag_bytes + before.of8()),
        at16(tag_bytes + all.of8() + 2 * before.of16()),
        at32(tag_bytes + all.of8() + 2 * all.of16() + 4 * before.of32()) {}
  // That of the next value with the tag, which is not 0.
  GOSSAMER_DEVICE std::size_t next(unsigned tag) {
    // Not by reference: that would take them out of registers.
    const std::size_t here = tag == 1 ? at8 : tag == 2 ? at16 : at32;
    at8 += tag == 1 ? 1 : 0;
    at16 += tag == 2 ? 2 : 0;
    at32 += tag == 3 ? 4 : 0;
    return here;
  }
};

// Where the blocks of a vector lie in it.
struct BoundedLayout {
  std::size_t n;

  std::size_t blocks() const { return parts_of(n, kBoundedBlock); }
  GOSSAMER_DEVICE static std::size_t begin(std::size_t block) { return block * kBoundedBlock; }
  // Of either bit of its tags.
  GOSSAMER_DEVICE std::size_t bit_bytes(std::size_t block) const {
    return (smaller(kBoundedBlock, n - begin(block)) + 7) / 8;
  }
};

// How many bytes each block takes.
struct MeasureBounded {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kWarp;

  const float* values;
  const float* residual;
  float step;
  std::size_t n;
  std::uint64_t* bytes;
  std::uint32_t* refused;

  std::size_t teams() const { return BoundedLayout{n}.blocks(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t block, Shared&) const {
    const BoundedLayout layout{n};
    const std::size_t begin = layout.begin(block), end = begin + kBoundedBlock;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    const float inverse = 1 / step;
    typename Team::template PerThread<std::uint32_t> before;
    const BoundedCounts all{team.prefix(before, [&](unsigned lane) {
      const auto x =
          load_sums<kBoundedQuads>(values, residual, begin + lane * std::size_t{kBoundedOwn}, 4, n, whole);
      if (largest_magnitude_of(x) >= kInfinityBits) refuse(refused);
      return bounded_tags(x, inverse).counts().packed;
    })};
    team.each([&](unsigned lane) {
      if (lane == 0) bytes[block] = 2 * layout.bit_bytes(block) + all.bytes();
    });
  }
};

// In the place of each block's bytes those of all before it; and the payload's length.
struct AddUpBounded {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 1024;

  std::uint64_t* bytes;
  std::size_t blocks;
  std::uint64_t* length;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    const std::uint64_t total = sum_up_before<kThreads>(team, bytes, blocks);
    team.each([&](unsigned thread) {
      if (thread == 0) *length = total;
    });
  }
};

struct WriteBounded {
  static constexpr unsigned kThreads = kWarp;
  struct Shared {
    // The block, as far off a multiple of four as it lies in the payload.
    alignas(4) std::uint8_t bytes[kMostBoundedBytes + 4];
  };

  const float* values;
  float* residual;
  float step;
  std::size_t n;
  const std::uint64_t* begins;  // of the blocks
  std::uint8_t* payload;

  std::size_t teams() const { return BoundedLayout{n}.blocks(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t block, Shared& shared) const {
    const BoundedLayout layout{n};
    const std::size_t begin = layout.begin(block), end = begin + kBoundedBlock;
    const bool whole = are_whole(values, begin, end, n) && are_whole(residual, begin, end, n);
    const float inverse = 1 / step;
    const std::size_t bit_bytes = layout.bit_bytes(block), off = begins[block] % 4;
    typename Team::template PerThread<Quads<kBoundedQuads>> sums;
    typename Team::template PerThread<std::uint32_t> before;
    const BoundedCounts all{team.prefix(before, [&](unsigned lane) {
      const std::size_t first = begin + lane * std::size_t{kBoundedOwn};
      sums[lane] = load_sums<kBoundedQuads>(values, residual, first, 4, n, whole);
      return bounded_tags(sums[lane], inverse).counts().packed;
    })};
    team.each([&](unsigned lane) {
      std::uint8_t* const out = shared.bytes + off;
      Quads<kBoundedQuads>& x = sums[lane];
      const BoundedTags tags = bounded_tags(x, inverse);
      for (std::size_t k = 0; k < 2 && 2 * lane + k < bit_bytes; ++k) {
        out[2 * lane + k] = static_cast<std::uint8_t>(tags.low >> (8 * k));
        out[bit_bytes + 2 * lane + k] = static_cast<std::uint8_t>(tags.high >> (8 * k));
      }
      BoundedPlaces places(2 * bit_bytes, all, {before[lane]});
      for (int j = 0; j < kBoundedQuads; ++j) {
        for (int c = 0; c < 4; ++c) {
          float& value = x.quad[j].at[c];
          const std::int32_t steps = bounded_steps(value, inverse);
          const unsigned tag = bounded_tag(steps);
          if (tag != 0) {
            const std::uint32_t body = tag == 3 ? bits_of(value) : static_cast<std::uint32_t>(steps);
            const std::size_t at = places.next(tag);
            for (unsigned k = 0; k < 1U << (tag - 1); ++k)
              out[at + k] = static_cast<std::uint8_t>(body >> (8 * k));
          }
          value = plus_bounded(value, -1, tag, steps, value, step);
        }
      }
      const std::size_t first = begin + lane * std::size_t{kBoundedOwn};
      if (residual != nullptr) store(residual, x, first, 4, n, whole);
    });
    copy_out(team, off, off + 2 * bit_bytes + all.bytes(), payload + (begins[block] - off), shared);
  }

 private:
  // Whole words where they are the block's alone.
  template <class Team>
  GOSSAMER_DEVICE static void copy_out(Team& team, std::size_t begin, std::size_t end, std::uint8_t* to,
                                       const Shared& shared) {
    team.each([&](unsigned lane) {
      for (std::size_t word = 4 * lane; word < end; word += std::size_t{4} * kWarp) {
        const std::size_t first = larger(begin, word), last = smaller(end, word + 4);
        if (last - first == 4) {
          store_bytes(to + word, load_bytes(shared.bytes + word, 4), 4);
        } else {
          for (std::size_t k = first; k < last; ++k) to[k] = shared.bytes[k];
        }
      }
    });
  }
};

// Where blocks go on that come to a part of the payload: so many bytes behind its end, after so many blocks.
struct BoundedStep {
  std::uint16_t offset, blocks;
};
inline constexpr std::size_t kBoundedPart = 12288;
// By how many bytes behind the part's beginning they come to it.
struct BoundedMap {
  BoundedStep from[kMostBoundedBytes];
};

// The first block that begins in a part.
struct BoundedEntry {
  std::uint32_t offset, block;
};

struct BoundedPayload {
  const std::uint8_t* begin;
  std::size_t bytes;

  std::size_t parts() const { return parts_of(bytes, kBoundedPart); }
  // At most four bytes, with zeros behind the end.
  GOSSAMER_DEVICE std::uint32_t load(std::size_t at, std::size_t count) const {
    return load_bytes(begin + at, smaller(count, left_of(bytes, at)));
  }
};

struct MapBounded {
  static constexpr unsigned kThreads = 256;
  static constexpr std::size_t kOwn = kBoundedPart / kThreads;
  struct Shared {
    alignas(4) std::uint8_t bytes[kBoundedPart + 2 * kBitBytes];
    std::uint16_t next[kBoundedPart];  // where a block ends that begins here
  };

  BoundedPayload payload;
  BoundedMap* maps;

  std::size_t teams() const { return payload.parts(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t part, Shared& shared) const {
    team.each([&](unsigned thread) {
      for (std::size_t k = 4 * thread; k < sizeof shared.bytes; k += 4 * kThreads)
        store_bytes(shared.bytes + k, payload.load(part * kBoundedPart + k, 4), 4);
    });
    // From one place to the next, what the tags count loses its first byte and gets another one.
    team.each([&](unsigned thread) {
      const auto bodies = [&](std::size_t at) {
        return BoundedTags{shared.bytes[at], shared.bytes[at + kBitBytes]}.counts().bytes();
      };
      const std::size_t first = thread * kOwn;
      std::size_t sum = 0;
      for (std::size_t k = 0; k < kBitBytes; ++k) sum += bodies(first + k);
      for (std::size_t at = first; at < first + kOwn; ++at) {
        shared.next[at] = static_cast<std::uint16_t>(at + 2 * kBitBytes + sum);
        sum += bodies(at + kBitBytes) - bodies(at);
      }
    });
    team.each([&](unsigned thread) {
      for (std::size_t from = thread; from < kMostBoundedBytes; from += kThreads) {
        std::size_t at = from;
        std::uint16_t blocks = 0;
        for (; at < kBoundedPart; ++blocks) at = shared.next[at];
        maps[part].from[from] = {static_cast<std::uint16_t>(at - kBoundedPart), blocks};
      }
    });
  }
};

// One thread goes over the parts. What is behind the last block it takes for blocks, too.
struct TraceBounded {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kWarp;

  BoundedPayload payload;
  const BoundedMap* maps;
  BoundedEntry* entries;  // of each part

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    const std::size_t parts = (payload.bytes + kBoundedPart - 1) / kBoundedPart;
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      BoundedEntry entry{0, 0};
      for (std::size_t part = 0; part < parts; ++part) {
        entries[part] = entry;
        const BoundedStep step = maps[part].from[entry.offset];
        entry = {step.offset, entry.block + step.blocks};
      }
    });
  }
};

// Where each block begins: from one to the next, those of each part.
struct PlaceBounded {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kWarp;

  BoundedPayload payload;
  const BoundedEntry* entries;
  std::size_t blocks;
  std::uint64_t* begins;

  std::size_t teams() const { return payload.parts(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t part, Shared&) const {
    std::size_t at = entries[part].offset;
    typename Team::template PerThread<std::uint32_t> before;
    for (std::size_t block = entries[part].block; at < kBoundedPart && block < blocks; ++block) {
      const std::size_t begin = part * kBoundedPart + at;
      const BoundedCounts all{team.prefix(before, [&](unsigned lane) {
        if (lane == 0) begins[block] = begin;
        const std::size_t own = begin + 2 * lane;
        return BoundedTags{payload.load(own, 2), payload.load(own + kBitBytes, 2)}.counts().packed;
      })};
      at += 2 * kBitBytes + all.bytes();
    }
  }
};

// sum += weight * decoded.
struct AddBounded {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = kWarp;

  BoundedPayload payload;
  const std::uint64_t* begins;
  float step, weight;
  float* sum;
  std::size_t n;

  std::size_t teams() const { return BoundedLayout{n}.blocks(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t block, Shared&) const {
    const BoundedLayout layout{n};
    const std::size_t begin = layout.begin(block), bit_bytes = layout.bit_bytes(block);
    const bool whole = are_whole(sum, begin, begin + kBoundedBlock, n);
    const std::uint8_t* const in = payload.begin + begins[block];
    typename Team::template PerThread<BoundedTags> of_lane;
    typename Team::template PerThread<std::uint32_t> before;
    const BoundedCounts all{team.prefix(before, [&](unsigned lane) {
      const std::size_t own = 2 * lane, count = smaller(std::size_t{2}, left_of(bit_bytes, own));
      of_lane[lane] = {load_bytes(in + own, count), load_bytes(in + bit_bytes + own, count)};
      return of_lane[lane].counts().packed;
    })};
    team.each([&](unsigned lane) {
      const std::size_t first = begin + lane * std::size_t{kBoundedOwn};
      auto total = load<kBoundedQuads>(sum, first, 4, n, whole);
      const BoundedTags tags = of_lane[lane];
      BoundedPlaces places(2 * bit_bytes, all, {before[lane]});
      for (int j = 0; j < kBoundedQuads; ++j) {
        for (int c = 0; c < 4; ++c) {
          const unsigned tag = tags.at(static_cast<unsigned>(4 * j + c));
          std::uint32_t body = 0;
          if (tag != 0) body = load_bytes(in + places.next(tag), std::size_t{1} << (tag - 1));
          const std::int32_t steps =
              tag == 1 ? static_cast<std::int8_t>(body) : static_cast<std::int16_t>(body);
          float& value = total.quad[j].at[c];
          value = plus_bounded(value, weight, tag, steps, float_of(body), step);
        }
      }
      store(sum, total, first, 4, n, whole);
    });
  }
};

}  // namespace gossamer::cuda
