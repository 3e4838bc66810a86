#include "compression/cuda/encoder.h"

#include <stdexcept>

#include "compression/cuda/device_method.h"
#include "compression/methods.h"

namespace gossamer::cuda {
namespace {

// What the sender keeps lies in the processor's memory, where checkpoints and other clients of the process
// find it, and goes to the device and back with each message. So it is only without error feedback that a
// message moves fewer bytes than the values would.
class Encoder final : public DeviceEncoder {
 public:
  Encoder(std::unique_ptr<DeviceMethod> kernels, std::unique_ptr<Method> host, std::size_t most_floats)
      : kernels_(std::move(kernels)),
        host_(std::move(host)),
        state_(host_->state_floats(most_floats)),
        payload_(kernels_->payload_bytes(most_floats)),
        scratch_(most_floats) {}

  std::size_t state_floats(std::size_t floats) const noexcept override { return host_->state_floats(floats); }

  std::optional<std::size_t> encode(const float* values, std::size_t floats, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) override {
    const std::size_t length = kernels_->payload_bytes(floats);
    if (state.size() != state_floats(floats) || payload.size() < length)
      throw std::logic_error("encode: a state or a payload of another length");
    float* const residual = state.empty() ? nullptr : state_.data();
    copy(state_.data(), state.data(), state.size_bytes(), stream_);
    kernels_->encode(values, residual, floats, context, payload_.data(), scratch_, stream_);
    copy(payload.data(), payload_.data(), length, stream_);
    copy(state.data(), state_.data(), state.size_bytes(), stream_);
    if (!scratch_.was_finite(stream_)) return std::nullopt;
    return length;
  }

 private:
  std::unique_ptr<DeviceMethod> kernels_;
  std::unique_ptr<Method> host_;
  Stream stream_;
  DeviceBuffer<float> state_;
  DeviceBuffer<std::byte> payload_;
  EncodeScratch scratch_;
};

}  // namespace

std::unique_ptr<DeviceEncoder> make_encoder(const Options& options, std::size_t most_floats) {
  auto host = make_up_method_with_memory(options, {});
  if (!host) return nullptr;
  auto kernels = make_device_method(options.text("compression.up"), options);
  if (!kernels) return nullptr;
  // The kernels know a residual and nothing else.
  const std::size_t kept = host->state_floats(most_floats);
  if (kept != 0 && !(kept == most_floats && host->has_residual())) return nullptr;
  return std::make_unique<Encoder>(std::move(kernels), std::move(host), most_floats);
}

}  // namespace gossamer::cuda
