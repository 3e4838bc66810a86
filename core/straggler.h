#pragma once

#include "core/rng.h"

namespace gossamer {

// Emulated stragglers, as in FedProx's experiments (Li et al. 2020): a share of each round's cohort manages
// only a part of its local epochs. Drawn per (client, round), so every method sees the same stragglers.
inline bool is_straggler(std::uint64_t seed, double fraction, ClientId client, Round round) noexcept {
  Rng rng(seed, Purpose::straggler, static_cast<std::uint64_t>(client), static_cast<std::uint64_t>(round));
  return rng.uniform() < fraction;
}

// How many of `epochs` (>= 1) a straggler manages: uniform on 1 .. epochs.
inline std::int64_t straggler_epochs(std::uint64_t seed, ClientId client, Round round,
                                     std::int64_t epochs) noexcept {
  Rng rng(seed, Purpose::straggler, static_cast<std::uint64_t>(client), static_cast<std::uint64_t>(round));
  static_cast<void>(rng.uniform());  // the draw of is_straggler()
  return 1 + static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(epochs)));
}

}  // namespace gossamer
