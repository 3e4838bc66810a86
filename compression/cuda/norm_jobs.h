#pragma once

#include "compression/cuda/memory.h"

namespace gossamer::cuda {

// The sums of squares of 4,096 values each, in the order of momentum_correction.cpp: in 256 lanes, which are
// then added up two by two.
struct SquareSums {
  static constexpr unsigned kThreads = 256;
  static constexpr int kEach = 4;
  static constexpr std::size_t kStride = 4 * kThreads, kPart = kEach * kStride;
  struct Shared {
    double lanes[kThreads];
  };

  const float* values;
  std::size_t n;
  double* sums;

  std::size_t teams() const { return parts_of(n, kPart); }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t number, Shared& shared) const {
    const std::size_t begin = number * kPart;
    const bool whole = are_whole(values, begin, begin + kPart, n);
    team.each([&](unsigned thread) {
      const auto x = load<kEach>(values, begin + 4 * thread, kStride, n, whole);
      double sum = 0;
      for (int j = 0; j < kEach; ++j) {
        for (int c = 0; c < 4; ++c) {
          const auto value = static_cast<double>(x.quad[j].at[c]);
          sum = sum + value * value;
        }
      }
      shared.lanes[thread] = sum;
    });
    for (unsigned half = kThreads / 2; half > 0; half /= 2) {
      team.each([&](unsigned thread) {
        if (thread < half) shared.lanes[thread] = shared.lanes[thread] + shared.lanes[thread + half];
      });
    }
    team.each([&](unsigned thread) {
      if (thread == 0) sums[number] = shared.lanes[0];
    });
  }
};

// By what values are multiplied whose norm is to be at most `clip`, out of those sums, in 64 lanes.
struct ClipScale {
  static constexpr unsigned kThreads = 64;
  struct Shared {
    double lanes[kThreads];
  };

  const double* sums;
  std::size_t parts;
  float clip;
  float* scale;

  std::size_t teams() const { return 1; }

  template <class Team>
  GOSSAMER_DEVICE void run(Team& team, std::size_t, Shared& shared) const {
    team.each([&](unsigned thread) {
      double sum = 0;
      for (std::size_t part = thread; part < parts; part += kThreads) sum = sum + sums[part];
      shared.lanes[thread] = sum;
    });
    team.each([&](unsigned thread) {
      if (thread != 0) return;
      double squares = 0;
      for (unsigned lane = 0; lane < kThreads; ++lane) squares = squares + shared.lanes[lane];
      const double norm = sqrt(squares), most = static_cast<double>(clip);
      *scale = is_finite(norm) && norm > most ? static_cast<float>(most / norm) : 1.0F;
    });
  }
};

}  // namespace gossamer::cuda
