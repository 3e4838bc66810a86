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
    : floats_(values.size()), values_(floats_), sum_(floats_) {
  copy(values_.data(), values.data(), values.size_bytes(), stream_);
  stream_.wait();
}

DeviceFigures DeviceBench::measure(const DeviceMethod& method) {
  DeviceFigures figures;
  const std::size_t bytes = floats_ * sizeof(float);
  const DeviceBuffer<std::byte> payload(method.payload_bytes(floats_));
  const DeviceBuffer<float> state(method.state_floats(floats_));
  EncodeScratch scratch(method, floats_);
  const auto encode = [&](float* kept, std::uint64_t key) {
    method.encode(values_.data(), kept, floats_, {key}, payload.data(), scratch, stream_);
  };
  const auto add = [&](std::size_t length, float weight) {
    method.add({payload.data(), length}, weight, sum_.data(), floats_, scratch, stream_);
  };
  const auto length_of_last = [&] {
    const auto length = scratch.finish(stream_);
    if (!length) throw RunError("bench compression: the device refuses its input");
    return *length;
  };
  const auto begin_anew = [&] { fill_zero(state.data(), state.size() * sizeof(float), stream_); };

  // The host has to wait for a payload to know its length, and the device is not to wait for the host: so the
  // same messages are encoded before, for their lengths.
  std::vector<std::size_t> lengths(kWarmUp + kDeviceSamples);
  begin_anew();
  for (std::size_t sample = 0; sample < lengths.size(); ++sample) {
    encode(state.data(), sample);
    lengths[sample] = length_of_last();
  }
  begin_anew();
  std::vector<Marks> samples(lengths.size());
  for (std::size_t sample = 0; sample < samples.size(); ++sample) {
    Marks& marks = samples[sample];
    marks.at[0].record(stream_);
    copy(sum_.data(), values_.data(), bytes, stream_);
    marks.at[1].record(stream_);
    encode(state.data(), sample);
    marks.at[2].record(stream_);
    add(lengths[sample], 0.5F);
    marks.at[3].record(stream_);
  }
  figures.payload_bytes = length_of_last();
  for (std::size_t sample = kWarmUp; sample < samples.size(); ++sample) {
    const auto seconds = [&, &at = samples[sample].at](std::size_t part) {
      return static_cast<double>(at[part + 1].ms_since(at[part])) * 1e-3;
    };
    rate_ = std::max(rate_, 2.0 * static_cast<double>(bytes) / seconds(0));
    figures.encode_seconds.push_back(seconds(1));
    figures.decode_seconds.push_back(seconds(2));
  }

  begin_anew();  // with nothing left over, a message is the same as without a memory
  encode(state.data(), samples.size());
  fill_zero(sum_.data(), bytes, stream_);
  add(length_of_last(), 1);
  figures.decoded.resize(floats_);
  copy(figures.decoded.data(), sum_.data(), bytes, stream_);
  stream_.wait();
  return figures;
}

}  // namespace gossamer::cuda
