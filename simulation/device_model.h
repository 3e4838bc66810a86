#pragma once

#include <cstdint>

#include "core/options.h"
#include "core/types.h"

namespace gossamer {

// How long a virtual client would have taken. Pure functions of the configuration.
class DeviceModel {
 public:
  explicit DeviceModel(const Options& options);

  Seconds download_seconds(std::size_t bytes) const { return latency_ + static_cast<double>(bytes) / down_; }
  Seconds upload_seconds(std::size_t bytes) const { return latency_ + static_cast<double>(bytes) / up_; }
  // Local training of one round on a client with `examples` examples.
  Seconds training_seconds(std::int64_t examples, ClientId client, Round round) const;
  // Examples that a round of local training processes, counting repeats.
  std::int64_t planned_samples(std::int64_t examples, ClientId client, Round round) const;

 private:
  double speed_;  // samples a second
  double up_;     // bytes a second
  double down_;   // bytes a second
  Seconds latency_;
  std::uint64_t seed_;
  std::int64_t epochs_, steps_, batch_;
  double straggler_fraction_;
};

// [devices] speed and [network] rates.
void add_device_options(OptionSchema& schema);

}  // namespace gossamer
