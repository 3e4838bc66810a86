#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "compression/cuda/device.h"
#include "compression/cuda/plan.h"
#include "compression/method.h"

namespace gossamer::cuda {

class DeviceMethod;

// What encode() and add() need on the device besides their operands: of one call at a time, and so many
// floats at most.
class EncodeScratch {
 public:
  // For any method: about 14 bytes a float.
  explicit EncodeScratch(std::size_t floats);
  // For the one: of what sends few values, about 2 bytes a float.
  EncodeScratch(const DeviceMethod& method, std::size_t floats);

  // Of the last encode(), whose stream this waits for: the payload's length, or none where a value, or one
  // plus what is kept of it, is NaN or infinite. Payload and state are then of no use.
  std::optional<std::size_t> finish(const Stream& stream);
  bool was_finite(const Stream& stream) { return finish(stream).has_value(); }

 private:
  friend class DeviceMethod;
  // On the device, zeros at first.
  struct Answer {
    std::uint64_t length;
    std::uint32_t refused;
  };
  EncodeScratch(std::size_t floats, std::size_t workspace);

  std::size_t floats_;
  std::optional<std::size_t> fixed_length_;  // of the last payload
  DeviceBuffer<Answer> answer_;
  PinnedBuffer<Answer> copied_;
  DeviceBuffer<std::uint8_t> workspace_;
};

// A method as CUDA kernels, with the payloads and states of the processor's (method.h), bit for bit. All
// pointers are to the device's memory; payloads are aligned to 16 bytes, floats are fastest where they are so
// as well. Allocates nothing and waits for nothing. Immutable, so that one instance serves all threads and
// streams. What CUDA refuses throws RunError.
class DeviceMethod {
 public:
  // Takes its settings from the options, as the registry does.
  DeviceMethod(const Plan& plan, const Options& options);

  // The longest payload of so many floats; the length of any, where it is fixed.
  std::size_t payload_bytes(std::size_t floats) const noexcept;
  bool has_fixed_length() const noexcept { return host_->has_fixed_length(); }
  // What the options have the sender keep, as state of encode(): the velocity, with momentum correction, then
  // the residual, with error feedback, and then what the method itself keeps.
  std::size_t state_floats(std::size_t floats) const noexcept;

  // Writes the payload of values, or, where `state` is not null, what the processor's method with error
  // feedback, and with momentum correction where the options say so, makes of them and of its state. It must
  // not be null where the method itself keeps something; of powersgd there is a residual before that only
  // where the options say so.
  void encode(const float* values, float* state, std::size_t floats, EncodeContext context,
              std::byte* payload, EncodeScratch& scratch, const Stream& stream) const;
  // sum += weight * decoded, of a payload that Method::is_valid() took for one of so many floats.
  void add(std::span<const std::byte> payload, float weight, float* sum, std::size_t floats,
           EncodeScratch& scratch, const Stream& stream) const;

 private:
  friend class EncodeScratch;
  void check_fits(const EncodeScratch& scratch, std::size_t floats, const void* payload) const;

  Plan plan_;
  std::unique_ptr<Method> host_;
};

// For pieces of a shape (MakeMethod). Null where the method of that name (a line of
// compression/registry.cpp), or what the options put around it, has no kernels.
std::unique_ptr<DeviceMethod> make_device_method(const std::string& name, const Options& options,
                                                 std::span<const std::int64_t> shape = {});

}  // namespace gossamer::cuda
