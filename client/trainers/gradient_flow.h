#pragma once

#include <cstddef>

namespace gossamer {

// Goes along with the computation of a gradient, so that gradients can travel meanwhile. Offsets and counts
// are in floats of the flat parameter vector, whose order is that of the layers.
class GradientFlow {
 public:
  virtual ~GradientFlow() = default;
  // The forward pass is about to read these parameters.
  virtual void before_use(std::size_t offset, std::size_t count) = 0;
  // The gradient is final from `offset` on, and this pass does not read the parameters there any more: both
  // may be changed. Offsets fall from call to call, the last one is 0.
  virtual void final_from(std::size_t offset) = 0;
};

}  // namespace gossamer
