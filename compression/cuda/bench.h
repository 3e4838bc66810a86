#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "compression/cuda/device_method.h"
#include "core/buffers.h"

namespace gossamer::cuda {

struct DeviceFigures {
  std::vector<double> encode_seconds, decode_seconds;  // of each sample
  std::size_t payload_bytes = 0;                       // of the last one
  FloatBuffer decoded;                                 // of the values, with nothing kept
};

// Times methods on a GPU, one after another, on one vector.
class DeviceBench {
 public:
  // Copies the values to the device.
  explicit DeviceBench(std::span<const float> values);

  // With what the method's options have a sender keep, from sample to sample. Throws RunError.
  DeviceFigures measure(const DeviceMethod& method);
  // Bytes read and written a second by the best copy within the device's memory so far.
  double rate() const noexcept { return rate_; }

 private:
  Stream stream_;
  std::size_t floats_;
  DeviceBuffer<float> values_, sum_;
  double rate_ = 0;
};

}  // namespace gossamer::cuda
