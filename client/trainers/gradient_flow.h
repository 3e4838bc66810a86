#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "core/layout.h"

namespace gossamer {

// Goes along with the computation of a gradient and takes it away in parts, as they are ready. Offsets and
// counts are in floats of the flat parameter vector, whose order is that of the layers.
class GradientFlow {
 public:
  virtual ~GradientFlow() = default;
  // The forward pass is about to read these parameters.
  virtual void before_use(std::size_t offset, std::size_t count) = 0;
  virtual std::size_t longest_part() const noexcept = 0;
  // Where to write the gradient of the parameters [offset, offset + count); it holds anything. Parts come
  // from the end of the vector to its beginning, without gaps. Requires 0 < count <= longest_part().
  virtual std::span<float> part(std::size_t offset, std::size_t count) = 0;
  // Where to write what a dense layer's weight gradient, delta^T input, is made of, instead of the weight's
  // parts and in their place in the order: a row an example, with as many floats of delta as the weight has
  // rows, then as many of input as it has columns. Room for a batch of examples, zeroed. Empty where the
  // gradient itself is wanted. The weight's description outlives the step.
  virtual std::span<float> factors(const TensorSpec& weight) {
    static_cast<void>(weight);
    return {};
  }
  // The last part(), or the last factors(), have been written, and this pass does not read their parameters
  // any more: they may change.
  virtual void leave() = 0;

  // Where a tensor is cut, every so many floats from its beginning: between rows, if these are not too long.
  // A rule for everybody, since peers meet part by part, however each comes to its gradient.
  std::size_t step_of(const TensorSpec& tensor) const {
    const std::size_t row =
        tensor.shape.empty() ? 1 : tensor.size / static_cast<std::size_t>(tensor.shape[0]);
    return row <= longest_part() ? longest_part() / row * row : longest_part();
  }
  // All parts of a tensor: `write(begin, values)` fills values, which lie `begin` behind its first float.
  template <class Write>
  void cut(const TensorSpec& tensor, const Write& write) {
    for (std::size_t end = tensor.size; end > 0;) {
      const std::size_t size = end % step_of(tensor) == 0 ? step_of(tensor) : end % step_of(tensor);
      end -= size;
      write(end, part(tensor.offset + end, size));
      leave();
    }
  }
  void copy_in(const TensorSpec& tensor, std::span<const float> gradient) {
    cut(tensor, [&](std::size_t begin, std::span<float> values) {
      std::ranges::copy(gradient.subspan(begin, values.size()), values.begin());
    });
  }
};

}  // namespace gossamer
