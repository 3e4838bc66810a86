#include "compression/cuda/bench.h"

#include <algorithm>
#include <array>

#include "core/error.h"

namespace gossamer::cuda {
namespace {

constexpr std::size_t kDeviceSamples = 31;
constexpr std::size_t kWarmUp = 3;

// Around the parts of a sample. The device has got the next part by the time it is through with one, so none
// of them waits for the host.
struct Marks {
  std::array<Event, 4> at;
};

}  // namespace

DeviceBench::DeviceBench(std::span<const float> values)
    : floats_(values.size()),
      values_(floats_),
      residual_(floats_),
      sum_(floats_),
      payload_(2 * floats_),  // no method here has longer ones
      scratch_(floats_) {
  copy(values_.data(), values.data(), values.size_bytes(), stream_);
  stream_.wait();
}

DeviceFigures DeviceBench::measure(const DeviceMethod& method, bool feedback) {
  DeviceFigures figures;
  figures.payload_bytes = method.payload_bytes(floats_);
  const std::size_t bytes = floats_ * sizeof(float);
  if (figures.payload_bytes > payload_.size()) throw RunError("bench compression: a payload too long");
  fill_zero(residual_.data(), bytes, stream_);
  std::uint64_t key = 0;
  const auto check_finite = [&] {
    if (!scratch_.was_finite(stream_)) throw RunError("bench compression: the device refuses its input");
  };

  std::vector<Marks> samples(kWarmUp + kDeviceSamples);
  for (Marks& marks : samples) {
    marks.at[0].record(stream_);
    copy(sum_.data(), values_.data(), bytes, stream_);
    marks.at[1].record(stream_);
    method.encode(values_.data(), feedback ? residual_.data() : nullptr, floats_, {++key}, payload_.data(),
                  scratch_, stream_);
    marks.at[2].record(stream_);
    method.add(payload_.data(), 0.5F, sum_.data(), floats_, stream_);
    marks.at[3].record(stream_);
  }
  check_finite();
  for (std::size_t sample = kWarmUp; sample < samples.size(); ++sample) {
    const auto seconds = [&, &at = samples[sample].at](std::size_t part) {
      return static_cast<double>(at[part + 1].ms_since(at[part])) * 1e-3;
    };
    rate_ = std::max(rate_, 2.0 * static_cast<double>(bytes) / seconds(0));
    figures.encode_seconds.push_back(seconds(1));
    figures.decode_seconds.push_back(seconds(2));
  }

  method.encode(values_.data(), nullptr, floats_, {++key}, payload_.data(), scratch_, stream_);
  fill_zero(sum_.data(), bytes, stream_);
  method.add(payload_.data(), 1, sum_.data(), floats_, stream_);
  check_finite();
  figures.decoded.resize(floats_);
  copy(figures.decoded.data(), sum_.data(), bytes, stream_);
  stream_.wait();
  return figures;
}

}  // namespace gossamer::cuda
