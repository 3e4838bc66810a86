#include "compression/cuda/device_method.h"

#include <stdexcept>

#include "compression/cuda/kernels.h"

namespace gossamer::cuda {

EncodeScratch::EncodeScratch(std::size_t floats) : EncodeScratch(floats, most_workspace_bytes(floats)) {}

EncodeScratch::EncodeScratch(const DeviceMethod& method, std::size_t floats)
    : EncodeScratch(floats, workspace_bytes(method.plan_, floats)) {}

EncodeScratch::EncodeScratch(std::size_t floats, std::size_t workspace)
    : floats_(floats), answer_(1), copied_(1), workspace_(workspace) {}

std::optional<std::size_t> EncodeScratch::finish(const Stream& stream) {
  copy(copied_.data(), answer_.data(), sizeof(Answer), stream);
  stream.wait();
  if (copied_.data()->refused != 0) return std::nullopt;
  return fixed_length_.value_or(copied_.data()->length);
}

DeviceMethod::DeviceMethod(const Plan& plan, const Options& options)
    : plan_(plan), host_(host_method_of(plan, options)) {}

std::size_t DeviceMethod::payload_bytes(std::size_t floats) const noexcept {
  // The processor's method is never asked for a payload of nothing; only terngrad's has anything in it here.
  return floats == 0 && plan_.kind != Plan::Kind::terngrad ? 0 : host_->most_bytes(floats);
}

std::size_t DeviceMethod::state_floats(std::size_t floats) const noexcept {
  const std::size_t around = (plan_.memories.residual ? 1U : 0U) + (plan_.memories.momentum ? 1U : 0U);
  return floats * around + host_->state_floats(floats);
}

void DeviceMethod::check_fits(const EncodeScratch& scratch, std::size_t floats, const void* payload) const {
  if (floats > scratch.floats_ || workspace_bytes(plan_, floats) > scratch.workspace_.size())
    throw std::logic_error("a scratch for fewer floats, or for another method");
  if (!is_aligned(payload, 16)) throw std::logic_error("a payload that is not aligned");
}

void DeviceMethod::encode(const float* values, float* state, std::size_t floats, EncodeContext context,
                          std::byte* payload, EncodeScratch& scratch, const Stream& stream) const {
  check_fits(scratch, floats, payload);
  if (state == nullptr && floats > 0 && host_->state_floats(floats) > 0)
    throw std::logic_error("encode: a method that is nothing without its state");
  fill_zero(scratch.answer_.data(), sizeof(EncodeScratch::Answer), stream);
  scratch.fixed_length_.reset();
  if (has_fixed_length() || floats == 0) scratch.fixed_length_ = payload_bytes(floats);
  auto* const answer = scratch.answer_.data();
  cuda::encode(plan_,
               {values, state, floats, context, reinterpret_cast<std::uint8_t*>(payload), &answer->refused,
                &answer->length, scratch.workspace_.data()},
               [&](const auto& job) { launch(job, stream.get()); });
}

void DeviceMethod::add(std::span<const std::byte> payload, float weight, float* sum, std::size_t floats,
                       EncodeScratch& scratch, const Stream& stream) const {
  check_fits(scratch, floats, payload.data());
  cuda::add(plan_,
            {reinterpret_cast<const std::uint8_t*>(payload.data()), payload.size(), weight, sum, floats,
             scratch.workspace_.data()},
            [&](const auto& job) { launch(job, stream.get()); });
}

std::unique_ptr<DeviceMethod> make_device_method(const std::string& name, const Options& options,
                                                 std::span<const std::int64_t> shape) {
  const auto plan = plan_of(name, options, shape);
  return plan ? std::make_unique<DeviceMethod>(*plan, options) : nullptr;
}

}  // namespace gossamer::cuda
