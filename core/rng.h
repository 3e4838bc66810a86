#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "core/types.h"

namespace gossamer {

// What a stream of random numbers is for. A purpose of its own keeps streams independent; the numbers are
// part of the reproducibility promise, so they never change.
enum class Purpose : std::uint32_t {
  model_init = 1,
  cohort = 2,
  partition = 3,
  shuffle = 4,
  dropout = 5,
  straggler = 6,
  digits_style = 7,
  digits_label = 8,
  digits_sample = 9,
  digits_test = 10,
  compression = 11,
  augmentation = 12,
  device_speed = 13,
  device_jitter = 14,
  device_step = 15,
  device_dropout = 16,
  availability = 17,
  network_loss = 18,
  gossip = 23,
  graph = 24,
  test = 99,
};

// A counter-based stream (Philox4x32-10; Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011), keyed by (seed, purpose, client, round): the numbers a client draws do not depend on
// which thread, process or machine it runs on, nor on what was drawn before. Cheap to make; not for privacy
// noise. Satisfies std::uniform_random_bit_generator, but use the members below: the standard's
// distributions differ between libraries.
class Rng {
 public:
  using result_type = std::uint32_t;

  // Notes the name down; only the first draw makes the stream of it.
  Rng(std::uint64_t seed, Purpose purpose, std::uint64_t client = 0, std::uint64_t round = 0) noexcept
      : key_{low(seed), high(seed)},
        counter_{low(client), high(client), low(round), high(round)},
        purpose_(static_cast<std::uint32_t>(purpose)) {}

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return std::numeric_limits<result_type>::max(); }
  result_type operator()() noexcept {
    if (next_ == 4) refill();
    return block_[next_++];
  }
  std::uint64_t bits64() noexcept {
    const std::uint64_t high = (*this)();
    return high << 32U | (*this)();
  }
  // Uniform in [0, bound), without bias. Requires bound > 0.
  std::uint64_t below(std::uint64_t bound) noexcept;
  // Uniform in [0, 1): 24 and 53 bits.
  float uniform_float() noexcept { return static_cast<float>((*this)() >> 8U) * 0x1.0p-24F; }
  double uniform() noexcept { return static_cast<double>(bits64() >> 11U) * 0x1.0p-53; }
  // Standard normal, by Box and Muller; two uniforms a pair.
  double normal() noexcept;
  // Gamma(shape, 1), by Marsaglia and Tsang (2000). Requires shape > 0.
  double gamma(double shape) noexcept;

 private:
  static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32U); }
  void begin() noexcept;
  void refill() noexcept;

  // Of the stream; before the first draw, the name's seed, and its client and round.
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::uint32_t purpose_;
  bool begun_ = false;
  std::array<std::uint32_t, 4> block_{};
  unsigned next_ = 4;
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

}  // namespace gossamer
