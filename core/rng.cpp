#include "core/rng.h"

#include <cmath>
#include <numbers>

namespace gossamer {
namespace {

struct HighLow {
  std::uint32_t high, low;
};

HighLow multiply(std::uint32_t a, std::uint32_t b) noexcept {
  const std::uint64_t product = static_cast<std::uint64_t>(a) * b;
  return {static_cast<std::uint32_t>(product >> 32U), static_cast<std::uint32_t>(product)};
}

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> c,
                                    std::array<std::uint32_t, 2> key) noexcept {
  for (int round = 0; round < 10; ++round) {
    const HighLow a = multiply(0xD2511F53U, c[0]);
    const HighLow b = multiply(0xCD9E8D57U, c[2]);
    c = {b.high ^ c[1] ^ key[0], b.low, a.high ^ c[3] ^ key[1], a.low};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return c;
}

}  // namespace

// The stream's key is one Philox block of (seed, purpose) mixed with one of (client, round), so that all
// 256 bits of the name take part and the whole counter is left for the stream itself.
void Rng::begin() noexcept {
  const auto name = philox(counter_, key_);
  const auto mixed = philox(name, {purpose_, 0x676f7373U});
  key_ = {mixed[0], mixed[1]};
  counter_ = {0, 0, mixed[2], mixed[3]};
  begun_ = true;
}

void Rng::refill() noexcept {
  if (!begun_) begin();
  block_ = philox(counter_, key_);
  if (++counter_[0] == 0) ++counter_[1];
  next_ = 0;
}

std::uint64_t Rng::below(std::uint64_t bound) noexcept {
  // Lemire's method: the high half of a 128-bit product, rejecting the few values that would bias it.
  __extension__ using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(bits64()) * bound;
  if (static_cast<std::uint64_t>(product) < bound) {
    const std::uint64_t threshold = -bound % bound;
    while (static_cast<std::uint64_t>(product) < threshold) product = static_cast<Wide>(bits64()) * bound;
  }
  return static_cast<std::uint64_t>(product >> 64U);
}

double Rng::normal() noexcept {
  if (has_spare_) {
    has_spare_ = false;
    return spare_normal_;
  }
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  const double angle = 2.0 * std::numbers::pi * uniform();
  spare_normal_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

double Rng::gamma(double shape) noexcept {
  if (shape < 1.0) return gamma(shape + 1.0) * std::pow(1.0 - uniform(), 1.0 / shape);
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = normal();
    const double v = std::pow(1.0 + c * x, 3);
    if (v <= 0.0) continue;
    if (std::log(1.0 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace gossamer
