#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/buffers.h"

namespace gossamer {

// A `parameter` is trained. A `buffer` (batch-norm running statistics) is not trained but travels and is
// averaged like one. Integer counters are in neither role: they stay in the module and are not averaged.
enum class TensorRole : std::uint8_t { parameter, buffer };

struct TensorSpec {
  std::string name;                 // the module's own name, as in a PyTorch state_dict
  std::vector<std::int64_t> shape;  // empty for a scalar
  std::size_t offset;               // in floats, from the start of the flat vector
  std::size_t size;                 // in floats
  TensorRole role;
};

// Where each tensor of a model lies in the flat float vector: all parameters first, then all buffers, in
// module order, without gaps. Immutable once built; shared by every replica.
class ParameterLayout {
 public:
  // `tensors` in order, parameters before buffers; offsets are assigned here.
  explicit ParameterLayout(std::vector<TensorSpec> tensors);

  const std::vector<TensorSpec>& tensors() const noexcept { return tensors_; }
  std::size_t parameter_count() const noexcept { return parameter_count_; }  // floats that are trained
  std::size_t size() const noexcept { return size_; }                        // parameters and buffers
  // Equal for equal names, shapes and roles; peers compare it before they exchange anything.
  std::uint64_t fingerprint() const noexcept { return fingerprint_; }

 private:
  std::vector<TensorSpec> tensors_;
  std::size_t parameter_count_ = 0;
  std::size_t size_ = 0;
  std::uint64_t fingerprint_ = 0;
};

// One version of a model, as flat floats. Handed around as `std::shared_ptr<const Parameters>`.
struct Parameters {
  std::shared_ptr<const ParameterLayout> layout;
  FloatBuffer values;  // layout->size() floats
};

// Lower-case hexadecimal SHA-256 of the floats' bytes: the `model_sha256` of a run's summary.
std::string sha256(std::span<const float> values);

}  // namespace gossamer
