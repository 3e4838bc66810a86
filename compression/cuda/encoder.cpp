#include "compression/cuda/encoder.h"

#include <stdexcept>

#include "compression/cuda/device_method.h"

namespace gossamer::cuda {
namespace {

// What the sender keeps lies in the processor's memory, where checkpoints and other clients of the process
// find it, and goes to the device and back with each message. So it is only without such memory that a
// message moves fewer bytes than the values would.
class Encoder final : public DeviceEncoder {
 public:
  Encoder(std::unique_ptr<DeviceMethod> kernels, std::size_t most_floats)
      : kernels_(std::move(kernels)),
        state_(kernels_->state_floats(most_floats)),
        payload_(kernels_->payload_bytes(most_floats)),
        scratch_(*kernels_, most_floats) {}

  std::optional<std::size_t> encode(const float* values, std::size_t floats, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) override {
    if (state.size() != kernels_->state_floats(floats) || payload.size() < kernels_->payload_bytes(floats))
      throw std::logic_error("encode: a state or a payload of another length");
    copy(state_.data(), state.data(), state.size_bytes(), stream_);
    kernels_->encode(values, state.empty() ? nullptr : state_.data(), floats, context, payload_.data(),
                     scratch_, stream_);
    copy(state.data(), state_.data(), state.size_bytes(), stream_);
    const auto length = scratch_.finish(stream_);
    if (!length) return std::nullopt;
    copy(payload.data(), payload_.data(), *length, stream_);
    stream_.wait();
    return length;
  }

 private:
  std::unique_ptr<DeviceMethod> kernels_;
  Stream stream_;
  DeviceBuffer<float> state_;
  DeviceBuffer<std::byte> payload_;
  EncodeScratch scratch_;
};

}  // namespace

std::unique_ptr<DeviceEncoder> make_encoder(const Options& options, std::size_t most_floats) {
  auto kernels = make_device_method(options.text("compression.up"), options);
  return kernels ? std::make_unique<Encoder>(std::move(kernels), most_floats) : nullptr;
}

}  // namespace gossamer::cuda
