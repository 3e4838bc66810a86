#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <memory>

#include "compression/device_encoder.h"
#include "core/options.h"

namespace gossamer {

// `run.device`: where clients make their steps, and compress what comes of them before it is copied here.

// Adds the key.
void add_device_option(OptionSchema& schema);

// Throws RunError where this machine, or this libtorch, has no such device.
at::Device device_of(const Options& options);

// What compresses updates of so many floats there; null where that is done here: on the processor, and for
// methods without kernels. Throws as device_of().
std::unique_ptr<DeviceEncoder> make_device_encoder(const Options& options, std::size_t floats);

// A 1-D tensor as the vector of an update. What was begun on its device is waited for.
std::shared_ptr<const DeviceFloats> as_device_floats(at::Tensor values);

}  // namespace gossamer
