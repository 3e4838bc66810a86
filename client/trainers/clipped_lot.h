#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/buffers.h"
#include "privacy/noise/noise_source.h"

namespace gossamer {

// A step of DP-SGD in types: examples -> ClippedLot -> NoisyGradient -> optimizer. Only ClippedGradients puts
// something into a ClippedLot, and a NoisyGradient is made of nothing else, so that the steps' order, and
// that none is left out, is checked by the compiler.

// The examples of a lot. Not private: it stays with the client.
struct LotCounts {
  std::int64_t examples = 0;
  std::int64_t not_finite = 0;  // of them: gradients that were not finite, and count as 0
  double loss = 0;              // mean over the others
};

// The sum of a lot's gradients so far, each within the bounds. Not thread-safe.
class ClippedLot {
 public:
  // `bounds` as in ClippedGradients::compute().
  ClippedLot(std::size_t parameters, std::vector<double> bounds);

  const LotCounts& counts() const noexcept { return counts_; }
  const std::vector<double>& bounds() const noexcept { return bounds_; }
  // How far one example moves the sum: the root of the sum of the bounds' squares.
  double sensitivity() const;

 private:
  friend class ClippedGradients;
  friend class NoisyGradient;

  std::vector<double> bounds_;
  FloatBuffer sum_;
  bool empty_ = true;  // nothing was added: sum_ holds anything
  LotCounts counts_;
};

// A lot's gradient as it may be used: (sum of clipped gradients + noise) / nominal size of a lot. Not
// thread-safe.
class NoisyGradient {
 public:
  explicit NoisyGradient(std::size_t parameters) : values_(parameters) {}

  // Ends the lot, whose next one then begins: noise of noise_multiplier times its sensitivity (see
  // gaussian_deviation_for()), also where it has no example, and division. The actual size is not private, so
  // it is not what divides. Requires a lot of as many parameters, noise_multiplier >= 0 and nominal_lot > 0.
  void take(ClippedLot& lot, double noise_multiplier, NoiseSource& source, double nominal_lot);

  // May be changed: what follows the noise costs no privacy. All zeros before take().
  std::span<float> values() noexcept { return values_; }

 private:
  FloatBuffer values_;
};

}  // namespace gossamer
