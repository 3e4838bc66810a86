#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "compression/method.h"

namespace gossamer {

// A method (compression.up with its keys) for vectors that lie on another device: the payloads and states of
// the processor's method, bit for bit. Owns the memory that it works in: one call at a time.
class DeviceEncoder {
 public:
  virtual ~DeviceEncoder() = default;

  // As encode() of the method for pieces of that shape (MakeMethod), of floats at an address of the device;
  // state and payload are in the processor's memory. Throws RunError where the device fails.
  virtual std::optional<std::size_t> encode(const float* values, std::size_t floats,
                                            std::span<const std::int64_t> shape, std::span<float> state,
                                            EncodeContext context, std::span<std::byte> payload) = 0;
};

}  // namespace gossamer
