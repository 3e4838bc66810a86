#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// In the place of each number the sum of all before it. Returns the sum of all. Of one team of so many
// threads.
template <unsigned threads, class Team>
GOSSAMER_DEVICE std::uint64_t sum_up_before(Team& team, std::uint64_t* numbers, std::size_t count) {
  constexpr unsigned kOwn = 4;
  std::uint64_t sum = 0;
  typename Team::template PerThread<std::uint64_t> before;
  for (std::size_t tile = 0; tile < count; tile += std::size_t{threads} * kOwn) {
    const std::uint64_t total = team.prefix(before, [&](unsigned thread) {
      std::uint64_t own = 0;
      for (unsigned k = 0; k < kOwn; ++k) {
        const std::size_t i = tile + thread * kOwn + k;
        if (i < count) own += numbers[i];
      }
      return own;
    });
    team.each([&](unsigned thread) {
      std::uint64_t here = sum + before[thread];
      for (unsigned k = 0; k < kOwn; ++k) {
        const std::size_t i = tile + thread * kOwn + k;
        if (i >= count) break;
        const std::uint64_t own = numbers[i];
        numbers[i] = here;
        here += own;
      }
    });
    sum += total;
  }
  return sum;
}

}  // namespace gossamer::cuda
