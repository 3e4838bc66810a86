#include "compression/cuda/device_method.h"

#include <stdexcept>

#include "compression/cuda/kernels.h"

namespace gossamer::cuda {

EncodeScratch::EncodeScratch(std::size_t floats)
    // Fewer floats can have a part more, at their end.
    : floats_(floats), refused_(1), totals_(TernaryTotals::parts(floats) + 1), answer_(1) {}

bool EncodeScratch::was_finite(const Stream& stream) {
  copy(answer_.data(), refused_.data(), sizeof(std::uint32_t), stream);
  stream.wait();
  return *answer_.data() == 0;
}

DeviceMethod::DeviceMethod(const Plan& plan, const Options& options)
    : plan_(plan), host_(host_method_of(plan, options)) {}

std::size_t DeviceMethod::payload_bytes(std::size_t floats) const noexcept {
  return host_->most_bytes(floats);
}

void DeviceMethod::encode(const float* values, float* residual, std::size_t floats, EncodeContext context,
                          std::byte* payload, EncodeScratch& scratch, const Stream& stream) const {
  if (floats > scratch.floats_) throw std::logic_error("encode: a scratch for fewer floats");
  if (!is_aligned(payload, 16)) throw std::logic_error("encode: a payload that is not aligned");
  fill_zero(scratch.refused_.data(), sizeof(std::uint32_t), stream);
  cuda::encode(plan_,
               {values, residual, floats, context.key, reinterpret_cast<std::uint8_t*>(payload),
                scratch.refused_.data(), scratch.totals_.data()},
               [&](const auto& job) { launch(job, stream.get()); });
}

void DeviceMethod::add(const std::byte* payload, float weight, float* sum, std::size_t floats,
                       const Stream& stream) const {
  if (!is_aligned(payload, 16)) throw std::logic_error("add: a payload that is not aligned");
  cuda::add(plan_, {reinterpret_cast<const std::uint8_t*>(payload), weight, sum, floats},
            [&](const auto& job) { launch(job, stream.get()); });
}

std::unique_ptr<DeviceMethod> make_device_method(const std::string& name, const Options& options) {
  const auto plan = plan_of(name, options);
  return plan ? std::make_unique<DeviceMethod>(*plan, options) : nullptr;
}

}  // namespace gossamer::cuda
