#pragma once

#include <cstddef>
#include <memory>

#include "compression/device_encoder.h"
#include "core/options.h"

namespace gossamer::cuda {

// The encoder of compression.up, for pieces of so many floats at most. Null where there are no kernels for
// that method with that memory. The floats are on the calling thread's device. Throws RunError where there is
// none.
std::unique_ptr<DeviceEncoder> make_encoder(const Options& options, std::size_t most_floats);

}  // namespace gossamer::cuda
