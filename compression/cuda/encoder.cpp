#include "compression/cuda/encoder.h"

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

#include "compression/cuda/device_method.h"

namespace gossamer::cuda {
namespace {

// What the sender keeps lies in the processor's memory, where checkpoints and other clients of the process
// find it, and goes to the device and back with each message. So it is only without such memory that a
// message moves fewer bytes than the values would.
class Encoder final : public DeviceEncoder {
 public:
  // `any` does for pieces without a shape, and for all where the method does not depend on it.
  Encoder(const Options& options, const Plan& any, std::size_t most_floats)
      : options_(options), depends_on_shape_(cuda::depends_on_shape(any)), state_(0), payload_(0) {
    add_kernels({}, any, most_floats);
  }

  std::optional<std::size_t> encode(const float* values, std::size_t floats,
                                    std::span<const std::int64_t> shape, std::span<float> state,
                                    EncodeContext context, std::span<std::byte> payload) override {
    auto& [matrix, method, scratch] = kernels_of(MatrixShape(shape));
    if (state.size() != method.state_floats(floats) || payload.size() < method.payload_bytes(floats))
      throw std::logic_error("encode: a state or a payload of another length");
    copy(state_.data(), state.data(), state.size_bytes(), stream_);
    method.encode(values, state.empty() ? nullptr : state_.data(), floats, context, payload_.data(), scratch,
                  stream_);
    copy(state.data(), state_.data(), state.size_bytes(), stream_);
    const auto length = scratch.finish(stream_);
    if (!length) return std::nullopt;
    copy(payload.data(), payload_.data(), *length, stream_);
    stream_.wait();
    return length;
  }

 private:
  struct Kernels {
    MatrixShape shape;
    DeviceMethod method;
    EncodeScratch scratch;
  };

  // Makes them, and room for them, where it is the first piece of this shape.
  Kernels& kernels_of(const MatrixShape& shape) {
    const auto has_shape = [&](const Kernels& one) {
      return !depends_on_shape_ || (one.shape.rows == shape.rows && one.shape.columns == shape.columns);
    };
    const auto found = std::ranges::find_if(kernels_, has_shape);
    if (found != kernels_.end()) return *found;
    const std::int64_t extents[] = {static_cast<std::int64_t>(shape.rows),
                                    static_cast<std::int64_t>(shape.columns)};
    return add_kernels(shape, plan_of(options_.text("compression.up"), options_, extents).value(),
                       shape.floats());
  }

  Kernels& add_kernels(const MatrixShape& shape, const Plan& plan, std::size_t floats) {
    DeviceMethod method(plan, options_);
    EncodeScratch scratch(method, floats);
    if (method.state_floats(floats) > state_.size())
      state_ = DeviceBuffer<float>(method.state_floats(floats));
    if (method.payload_bytes(floats) > payload_.size())
      payload_ = DeviceBuffer<std::byte>(method.payload_bytes(floats));
    return kernels_.emplace_back(shape, std::move(method), std::move(scratch));
  }

  Options options_;
  bool depends_on_shape_;
  std::vector<Kernels> kernels_;
  Stream stream_;
  DeviceBuffer<float> state_;
  DeviceBuffer<std::byte> payload_;
};

}  // namespace

std::unique_ptr<DeviceEncoder> make_encoder(const Options& options, std::size_t most_floats) {
  const auto plan = plan_of(options.text("compression.up"), options);
  return plan ? std::make_unique<Encoder>(options, *plan, most_floats) : nullptr;
}

}  // namespace gossamer::cuda
