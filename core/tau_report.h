#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer {

// What a client says of the loss around the model that it was sent, so that the server can choose the number
// of local steps (server/adaptive_tau.h). Travels behind the update's payload, as doubles in this order.
struct TauReport {
  static constexpr std::size_t kBuckets = 128;
  static constexpr std::size_t kValues = 4 + kBuckets;

  double loss = 0;  // F_i(w) at the model w that was sent
  double rho =
      0;  // |F_i(w_i) - F_i(w)| / |w_i - w|, with w_i where the client ended its last round; 0 in its first
  double beta = 0;    // the same of the gradients
  double step_s = 0;  // seconds that a local step takes
  // A count sketch of the gradient of F_i at w (Charikar, Chen, Farach-Colton: "Finding frequent items in
  // data streams", 2002), with the same hash everywhere: linear, and of the gradient's length within 1 /
  // sqrt(128) or so. Its differences stand for those of the gradients, which would double the update.
  std::array<double, kBuckets> gradient{};

  bool operator==(const TauReport&) const = default;
};

// Adds `values`, which begin at element `offset` of the vector, to its sketch.
inline void add_to_sketch(std::span<const float> values, std::size_t offset,
                          std::array<double, TauReport::kBuckets>& sketch) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint64_t bits = (offset + i + 1) * 0x9E3779B97F4A7C15U;
    bits = (bits ^ (bits >> 30U)) * 0xBF58476D1CE4E5B9U;
    bits = (bits ^ (bits >> 27U)) * 0x94D049BB133111EBU;
    bits ^= bits >> 31U;
    const auto value = static_cast<double>(values[i]);
    sketch[bits % TauReport::kBuckets] += (bits >> 32U & 1U) != 0 ? value : -value;
  }
}

}  // namespace gossamer
