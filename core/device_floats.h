#pragma once

#include <cstddef>
#include <span>

namespace gossamer {

// A vector of floats in the memory of a device that is not the processor. Immutable.
class DeviceFloats {
 public:
  virtual ~DeviceFloats() = default;
  virtual std::size_t size() const noexcept = 0;
  // Where it lies there, for that device's own programs. What writes it has ended.
  virtual const float* address() const noexcept = 0;
  // out = its floats begin .. begin + out.size() - 1. Throws RunError.
  virtual void read(std::size_t begin, std::span<float> out) const = 0;
};

}  // namespace gossamer
