// Payloads of the sparse methods: indices in the code of sparse_indices.h, and behind them floats, or a bit
// each. What is written is all known at once; what is read is a chain, for a code begins where the one before
// it ends. So each 64 bits are read from every place where a code can go on in them (as many as a code has
// lower bits, and one), which gives where it goes on behind them, and how many codes and what sum of gaps
// that takes; a short walk over these finds which of them is true.
#pragma once

#include "compression/cuda/sparse_choice_jobs.h"
#include "compression/rice_code.h"

namespace gossamer::cuda {

// What a payload is made of.
struct SparseLayout {
  enum Tail { floats, signs, nothing };

  bool has_count;                        // 32 bits, at its beginning
  Tail tail;                             // behind the codes
  const std::uint64_t* codes = nullptr;  // where they begin, if more is before them than the count

  GOSSAMER_DEVICE std::size_t begin() const {
    return codes != nullptr ? *codes : has_count ? sizeof(std::uint32_t) : 0;
  }
  GOSSAMER_DEVICE std::size_t tail_bytes(std::size_t count) const {
    return tail == signs ? (count + 7) / 8 : tail == floats ? count * sizeof(float) : 0;
  }
};

inline constexpr std::size_t kTeamCodes = 1024;

// How long the codes of each team are, in bits; and zeros where they will be.
struct MeasureCodes {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;
  static constexpr std::size_t kOwn = kTeamCodes / kThreads;

  SparseLayout layout;
  std::size_t n;
  std::size_t most;  // that can have been chosen
  const Choosing* choosing;
  const std::uint32_t* indices;
  std::uint8_t* payload;
  std::uint64_t* bits;  // a number a team

  std::size_t teams() const { return parts_of(most, kTeamCodes); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t count = choosing->chosen, first = number * kTeamCodes;
    if (first >= count) return;
    const unsigned low_bits = rice_low_bits(n, count);
    typename Team::template PerThread<std::uint64_t> before;
    const std::uint64_t total = team.prefix(before, [&](unsigned thread) {
      std::uint64_t own = 0;
      for (std::size_t k = 0; k < kOwn; ++k) {
        const std::size_t i = first + thread * kOwn + k;
        if (i < count) own += (gap_before(indices, i) >> low_bits) + 1 + low_bits;
      }
      return own;
    });
    // The signs share words with the codes as well; of floats, only the first does.
    const std::size_t zeros =
        most_rice_bytes(n, count) + (layout.tail == SparseLayout::signs ? (count + 7) / 8 : 1);
    const std::size_t words = (zeros + 3) / 4, teams_at_work = (count + kTeamCodes - 1) / kTeamCodes;
    const std::size_t share = (words + teams_at_work - 1) / teams_at_work;
    team.each([&](unsigned thread) {
      if (thread == 0) bits[number] = total;
      const std::size_t end = smaller(words, (number + 1) * share);
      for (std::size_t word = number * share + thread; word < end; word += kThreads)
        store_bytes(payload + layout.begin() + 4 * word, 0, 4);
    });
  }

  GOSSAMER_DEVICE static std::uint32_t gap_before(const std::uint32_t* indices, std::size_t i) {
    return i == 0 ? indices[0] : indices[i] - indices[i - 1] - 1;
  }
};

// In the place of each team's bits those of all before it; and the payload's length, and its beginning.
struct AddUpCodes {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = 256;

  SparseLayout layout;
  Choosing* choosing;
  std::uint64_t* bits;
  std::uint8_t* payload;
  std::uint64_t* length;
  float* messages;  // which are counted, unless it is null

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared&) const {
    const std::size_t count = choosing->chosen;
    const std::uint64_t sum = sum_up_before<kThreads>(team, bits, (count + kTeamCodes - 1) / kTeamCodes);
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      if (messages != nullptr) *messages = *messages + 1;
      choosing->code_bytes = (sum + 7) / 8;
      *length = layout.begin() + choosing->code_bytes + layout.tail_bytes(count);
      if (layout.has_count) store_bytes(payload, static_cast<std::uint32_t>(count), 4);
    });
  }
};

struct WriteCodes {
  using Shared = NothingShared;
  static constexpr unsigned kThreads = MeasureCodes::kThreads;
  static constexpr std::size_t kOwn = MeasureCodes::kOwn;

  SparseLayout layout;
  std::size_t n, most;
  const Choosing* choosing;
  Chosen chosen;
  const std::uint64_t* bits;
  std::uint8_t* payload;

  std::size_t teams() const { return parts_of(most, kTeamCodes); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared&) const {
    const std::size_t count = choosing->chosen, first = number * kTeamCodes;
    if (first >= count) return;
    const unsigned low_bits = rice_low_bits(n, count);
    typename Team::template PerThread<std::uint64_t> before;
    team.prefix(before, [&](unsigned thread) {
      std::uint64_t own = 0;
      for (std::size_t k = 0; k < kOwn; ++k) {
        const std::size_t i = first + thread * kOwn + k;
        if (i < count) own += (MeasureCodes::gap_before(chosen.indices, i) >> low_bits) + 1 + low_bits;
      }
      return own;
    });
    team.each([&](unsigned thread) {
      std::uint64_t at = 8 * layout.begin() + bits[number] + before[thread];
      for (std::size_t k = 0; k < kOwn; ++k) {
        const std::size_t i = first + thread * kOwn + k;
        if (i >= count) return;
        const std::uint32_t gap = MeasureCodes::gap_before(chosen.indices, i);
        at += gap >> low_bits;
        const std::uint64_t low = gap & ((std::uint64_t{1} << low_bits) - 1);
        put(at, low << 1U | 1U);
        at += 1 + low_bits;
      }
    });
    const std::size_t tail = layout.begin() + choosing->code_bytes;
    team.each([&](unsigned thread) {
      const std::size_t end = smaller(count, first + kTeamCodes);
      for (std::size_t i = first + thread; i < end; i += kThreads) {
        if (layout.tail == SparseLayout::floats) put_float(tail, i, count);
        if (layout.tail == SparseLayout::signs && chosen.values[i] < 0) put(8 * tail + i, 1);
      }
    });
  }

 private:
  // At most 32 bits.
  GOSSAMER_DEVICE void put(std::uint64_t at, std::uint64_t written) const {
    std::uint8_t* const word = payload + at / 32 * 4;
    written <<= at % 32;
    const auto low = static_cast<std::uint32_t>(written), high = static_cast<std::uint32_t>(written >> 32U);
    if (low != 0) or_into(word, low);
    if (high != 0) or_into(word + 4, high);
  }

  // The word in which a float begins, whose lower bytes are of the float before it, or of the codes.
  GOSSAMER_DEVICE void put_float(std::size_t tail, std::size_t i, std::size_t count) const {
    const std::uint32_t own = bits_of(chosen.values[i]);
    const auto off = static_cast<unsigned>(8 * (tail % 4));
    std::uint8_t* const word = payload + (tail / 4 + i) * 4;
    if (off == 0) {
      store_bytes(word, own, 4);
      return;
    }
    if (i == 0) {
      or_into(word, own << off);
    } else {
      store_bytes(word, own << off | bits_of(chosen.values[i - 1]) >> (32 - off), 4);
    }
    if (i + 1 == count) store_bytes(word + 4, own >> (32 - off), off / 8);
  }
};

// 64 bits of codes, read from one of the places where a code can go on in them.
struct CodeStep {
  std::uint32_t next;   // so many of the next 64 bits are the lower bits of a code that is in these
  std::uint32_t count;  // of codes whose upper bits end in these
  std::uint32_t moved;  // by how much the least index that can follow grows
};

inline constexpr unsigned kCodePlaces = 32;
inline constexpr std::size_t kTeamChunks = 128, kTeamCodeBytes = 8 * kTeamChunks;

// Of a team's bits, from each of the places.
struct CodeMap {
  CodeStep from[kCodePlaces];
};

// The codes of a payload.
struct CodedIndices {
  SparseLayout layout;
  const std::uint8_t* payload;
  std::size_t bytes;  // of the payload
  std::size_t n;
  std::size_t given_count;  // without `has_count`

  // The most teams that it can need.
  std::size_t most_teams() const { return parts_of(bytes, kTeamCodeBytes); }

  GOSSAMER_DEVICE std::size_t count() const {
    return layout.has_count ? load_bytes(payload, 4) : given_count;
  }
  GOSSAMER_DEVICE std::size_t code_bytes(std::size_t count) const {
    return bytes - layout.begin() - layout.tail_bytes(count);
  }

  // Those of a number, with zeros behind the end.
  struct Chunk {
    std::uint64_t own, following;
  };
  GOSSAMER_DEVICE Chunk chunk(std::size_t number, std::size_t code_bytes) const {
    return {bits(8 * number, code_bytes), bits(8 * number + 8, code_bytes)};
  }

  // Calls visit(place among the chunk's codes, index) with the index as if the least were 0.
  template <class Visit>
  GOSSAMER_DEVICE static CodeStep read(const Chunk& chunk, unsigned from, unsigned low_bits,
                                       const Visit& visit) {
    const std::uint64_t mask = (std::uint64_t{1} << low_bits) - 1;
    CodeStep step{0, 0, 0};
    unsigned at = from;
    while (at < 64) {
      const std::uint64_t rest = chunk.own >> at;
      if (rest == 0) {
        step.moved += (64 - at) << low_bits;
        at = 64;
        break;
      }
      const unsigned zeros = trailing_zeros(rest);
      at += zeros + 1;
      const std::uint64_t behind = at < 64 ? chunk.own >> at | chunk.following << (64 - at) : chunk.following;
      step.moved += (zeros << low_bits) + static_cast<std::uint32_t>(behind & mask);
      visit(step.count++, step.moved++);
      at += low_bits;
    }
    step.next = at - 64;
    return step;
  }

 private:
  GOSSAMER_DEVICE std::uint64_t bits(std::size_t begin, std::size_t end) const {
    const std::uint8_t* const p = payload + layout.begin() + begin;
    return load_bytes(p, left_of(end, begin)) | std::uint64_t{load_bytes(p + 4, left_of(end, begin + 4))}
                                                    << 32U;
  }
};

// The way through each team's bits, from wherever it may begin.
struct MapCodes {
  static constexpr unsigned kThreads = kTeamChunks;
  struct Shared {
    std::uint32_t moved[kCodePlaces][kTeamChunks];
    std::uint16_t counts[kCodePlaces][kTeamChunks];
    std::uint8_t next[kCodePlaces][kTeamChunks];
  };

  CodedIndices codes;
  CodeMap* maps;

  std::size_t teams() const { return codes.most_teams(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const std::size_t count = codes.count();
    if (count == 0) return;
    const std::size_t bytes = codes.code_bytes(count);
    if (number * kTeamCodeBytes >= bytes) return;
    const unsigned low_bits = rice_low_bits(codes.n, count);
    team.each([&](unsigned thread) {
      const auto chunk = codes.chunk(number * kTeamChunks + thread, bytes);
      for (unsigned from = 0; from <= low_bits; ++from) {
        const CodeStep step = CodedIndices::read(chunk, from, low_bits, [](std::uint32_t, std::uint32_t) {});
        shared.moved[from][thread] = step.moved;
        shared.counts[from][thread] = static_cast<std::uint16_t>(step.count);
        shared.next[from][thread] = static_cast<std::uint8_t>(step.next);
      }
    });
    team.each([&](unsigned from) {
      if (from > low_bits) return;
      CodeStep all{from, 0, 0};
      for (unsigned chunk = 0; chunk < kTeamChunks; ++chunk) {
        const unsigned here = all.next;
        all.count += shared.counts[here][chunk];
        all.moved += shared.moved[here][chunk];
        all.next = shared.next[here][chunk];
      }
      maps[number].from[from] = all;
    });
  }
};

// Where each team's bits really begin. One thread goes over the teams, of which there is one for each
// kilobyte of codes (a thousandth of 25 million floats: 36), a tile of them at a time in shared memory.
struct TraceCodes {
  static constexpr unsigned kThreads = 256;
  static constexpr std::size_t kTile = 64;
  struct Shared {
    CodeMap maps[kTile];
  };

  CodedIndices codes;
  const CodeMap* maps;
  CodeStep* begins;  // of each team

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    const std::size_t count = codes.count();
    if (count == 0) return;
    const unsigned places = rice_low_bits(codes.n, count) + 1;
    const std::size_t parts = (codes.code_bytes(count) + kTeamCodeBytes - 1) / kTeamCodeBytes;
    typename Team::template PerThread<CodeStep> steps;
    team.each([&](unsigned thread) { steps[thread] = {0, 0, 0}; });
    for (std::size_t tile = 0; tile < parts; tile += kTile) {
      const std::size_t here = smaller(kTile, parts - tile);
      team.each([&](unsigned thread) {
        for (std::size_t k = thread; k < here * kCodePlaces; k += kThreads) {
          if (k % kCodePlaces < places)
            shared.maps[k / kCodePlaces].from[k % kCodePlaces] =
                maps[tile + k / kCodePlaces].from[k % kCodePlaces];
        }
      });
      team.each([&](unsigned thread) {
        if (thread != 0) return;
        CodeStep& step = steps[thread];
        for (std::size_t k = 0; k < here; ++k) {
          begins[tile + k] = step;
          const CodeStep& more = shared.maps[k].from[step.next];
          step = {more.next, step.count + more.count, step.moved + more.moved};
        }
      });
    }
  }
};

// The values behind the codes.
struct TailValues {
  SparseLayout::Tail tail;
  float tau;  // of signs

  GOSSAMER_DEVICE float at(const std::uint8_t* begin, std::size_t i) const {
    if (tail == SparseLayout::floats) return load_float(begin + i * sizeof(float));
    return (begin[i / 8] >> (i % 8) & 1U) != 0 ? -tau : tau;
  }
};

// sum += weight * decoded.
template <class Values>
struct AddSparse {
  static constexpr unsigned kThreads = kTeamChunks;
  struct Shared {
    std::uint8_t next[kCodePlaces][kTeamChunks];
    std::uint8_t begins[kTeamChunks];
  };

  CodedIndices codes;
  const CodeStep* begins;
  float weight;
  Values values;
  float* sum;

  std::size_t teams() const { return codes.most_teams(); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const std::size_t count = codes.count();
    if (count == 0) return;
    const std::size_t bytes = codes.code_bytes(count);
    if (number * kTeamCodeBytes >= bytes) return;
    const unsigned low_bits = rice_low_bits(codes.n, count);
    const CodeStep begin = begins[number];
    const auto nothing = [](std::uint32_t, std::uint32_t) {};
    typename Team::template PerThread<CodedIndices::Chunk> chunks;
    team.each([&](unsigned thread) {
      chunks[thread] = codes.chunk(number * kTeamChunks + thread, bytes);
      for (unsigned from = 0; from <= low_bits; ++from)
        shared.next[from][thread] =
            static_cast<std::uint8_t>(CodedIndices::read(chunks[thread], from, low_bits, nothing).next);
    });
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      auto from = static_cast<std::uint8_t>(begin.next);
      for (unsigned chunk = 0; chunk < kTeamChunks; ++chunk) {
        shared.begins[chunk] = from;
        from = shared.next[from][chunk];
      }
    });
    // The indices' part is the upper one: what is beyond it belongs to the zeros behind the last code.
    typename Team::template PerThread<std::uint64_t> before;
    team.prefix(before, [&](unsigned thread) {
      const CodeStep step = CodedIndices::read(chunks[thread], shared.begins[thread], low_bits, nothing);
      return std::uint64_t{step.moved} << 32U | step.count;
    });
    const std::uint8_t* const tail = codes.payload + codes.layout.begin() + bytes;
    team.each([&](unsigned thread) {
      const std::uint32_t least = begin.moved + static_cast<std::uint32_t>(before[thread] >> 32U);
      const std::uint32_t first = begin.count + static_cast<std::uint32_t>(before[thread]);
      CodedIndices::read(chunks[thread], shared.begins[thread], low_bits,
                         [&](std::uint32_t k, std::uint32_t index) {
                           float& at = sum[least + index];
                           at = plus(at, weight, values.at(tail, first + k));
                         });
    });
  }
};

}  // namespace gossamer::cuda
