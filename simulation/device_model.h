#pragma once

#include <cstdint>
#include <vector>

#include "core/options.h"
#include "core/types.h"

namespace gossamer {

// How long a virtual client would have taken. Pure functions of the configuration, the client and its round
// of work: nothing depends on the order in which they are asked. Immutable; safe from any thread.
class DeviceModel {
 public:
  // Throws FileError where devices.trace cannot be used.
  explicit DeviceModel(const Options& options);

  // From send to receipt, with the transmissions that network.loss costs.
  Seconds download_seconds(std::size_t bytes, ClientId client, Round round) const;
  Seconds upload_seconds(std::size_t bytes, ClientId client, Round round) const;
  // One way, between any two.
  Seconds latency() const noexcept { return latency_; }
  // The same, with the links between aggregators of a tree and their parents in place of clients'
  // (network.upper_*).
  DeviceModel of_upper_links() const;
  // Bytes a second, each way, that all clients of a server share; 0: no limit.
  double server_rate() const noexcept { return server_rate_; }
  // A client's link, for transfers from peer to peer: bytes a second, and how often what it sends in a round
  // of work is sent until it has arrived.
  struct Wire {
    double up = 0, down = 0;
    Seconds latency = 0;
    double transmissions = 1;
  };
  Wire wire(ClientId client, Round round) const;
  // Local training of one round on a client with `examples` examples.
  // `steps`: local steps that the server asked for; 0: as configured.
  Seconds training_seconds(std::int64_t examples, ClientId client, Round round, std::int64_t steps = 0) const;
  // Examples that a round of local training processes, counting repeats.
  std::int64_t planned_samples(std::int64_t examples, ClientId client, Round round,
                               std::int64_t steps = 0) const;
  // How long a client that is asked at `now` waits until it is available.
  Seconds waiting_seconds(ClientId client, Seconds now) const;
  // Whether it gives this round of work up, and after which share of its training.
  bool drops_out(ClientId client, Round round) const;
  double dropout_point(ClientId client, Round round) const;

 private:
  enum class Distribution { constant, uniform, half_normal, exponential, pareto };
  struct Device {
    double speed = 0;         // samples a second
    double up = 0, down = 0;  // bytes a second
  };

  Device device(ClientId client) const;
  // Seconds a sample, as a multiple of 1 / speed.
  double slowness(ClientId client, Round round) const;
  double draw(ClientId client, Round round) const;
  double step_factor(std::int64_t samples, ClientId client, Round round, std::int64_t asked) const;
  double transmissions(ClientId client, Round round, bool up) const;
  void read_trace(const std::string& path);

  Device common_;
  std::vector<Device> trace_;  // of client k: row k mod rows; empty: all are common_
  Seconds latency_;
  double server_rate_;
  double upper_rate_;      // bytes a second, each way; 0: as a client's
  Seconds upper_latency_;  // below 0: as a client's
  double loss_;
  Distribution distribution_;
  double spread_, shape_;
  bool every_round_;
  double jitter_;
  double slow_step_probability_, slow_step_factor_;
  double availability_;
  Seconds availability_period_;
  double dropout_;
  std::uint64_t seed_;
  std::int64_t epochs_, steps_, batch_;
  double straggler_fraction_, straggler_slowdown_;
};

// [devices] and [network].
void add_device_options(OptionSchema& schema);

}  // namespace gossamer
