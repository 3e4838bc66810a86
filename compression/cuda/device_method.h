#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "compression/cuda/device.h"
#include "compression/cuda/plan.h"
#include "compression/method.h"

namespace gossamer::cuda {

// What encode() needs on the device besides its operands: of one call at a time, for any method and so many
// floats at most.
class EncodeScratch {
 public:
  explicit EncodeScratch(std::size_t floats);
  // Of the last encode(), whose stream this waits for: whether it wrote a payload. Otherwise a value, or one
  // plus its residual, is NaN or infinite, and payload and residual are of no use.
  bool was_finite(const Stream& stream);

 private:
  friend class DeviceMethod;
  std::size_t floats_;
  DeviceBuffer<std::uint32_t> refused_;
  DeviceBuffer<TernaryTotal> totals_;
  PinnedBuffer<std::uint32_t> answer_;
};

// A method as CUDA kernels, with the payloads and residuals of the processor's (method.h), bit for bit. All
// pointers are to the device's memory; payloads are aligned to 16 bytes, floats are fastest where they are so
// as well. Allocates nothing and waits for nothing. Immutable, so that one instance serves all threads and
// streams. What CUDA refuses throws RunError.
class DeviceMethod {
 public:
  // Takes its settings from the options, as the registry does.
  DeviceMethod(const Plan& plan, const Options& options);

  // The length of a payload of so many floats.
  std::size_t payload_bytes(std::size_t floats) const noexcept;
  // Writes the payload of values, or, where `residual` is not null, of values + residual, and leaves in the
  // residual what the payload leaves out.
  void encode(const float* values, float* residual, std::size_t floats, EncodeContext context,
              std::byte* payload, EncodeScratch& scratch, const Stream& stream) const;
  // sum += weight * decoded, of a payload that Method::is_valid() took for one of so many floats.
  void add(const std::byte* payload, float weight, float* sum, std::size_t floats,
           const Stream& stream) const;

 private:
  Plan plan_;
  std::unique_ptr<Method> host_;
};

// Null where the method of that name (a line of compression/registry.cpp) has no kernels.
std::unique_ptr<DeviceMethod> make_device_method(const std::string& name, const Options& options);

}  // namespace gossamer::cuda
