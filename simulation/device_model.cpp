#include "simulation/device_model.h"

#include "core/straggler.h"

namespace gossamer {
namespace {

constexpr double kBytesPerMegabit = 1e6 / 8;

}  // namespace

DeviceModel::DeviceModel(const Options& options)
    : speed_(options.real("devices.speed")),
      up_(options.real("network.up_mbps") * kBytesPerMegabit),
      down_(options.real("network.down_mbps") * kBytesPerMegabit),
      latency_(options.real("network.latency_ms") / 1000),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      epochs_(options.integer("client.local_epochs")),
      steps_(options.integer("client.local_steps")),
      batch_(options.integer("client.batch_size")),
      straggler_fraction_(options.real("devices.straggler_fraction")) {}

std::int64_t DeviceModel::planned_samples(std::int64_t examples, ClientId client, Round round) const {
  if (steps_ == 0) {
    const bool straggles = straggler_fraction_ > 0 && is_straggler(seed_, straggler_fraction_, client, round);
    return examples * (straggles ? straggler_epochs(seed_, client, round, epochs_) : epochs_);
  }
  if (batch_ == 0 || batch_ >= examples) return steps_ * examples;
  // Each pass over the data ends with what is left, a batch that may be smaller.
  const std::int64_t steps_a_pass = (examples + batch_ - 1) / batch_;
  return steps_ / steps_a_pass * examples + steps_ % steps_a_pass * batch_;
}

Seconds DeviceModel::training_seconds(std::int64_t examples, ClientId client, Round round) const {
  return static_cast<double>(planned_samples(examples, client, round)) / speed_;
}

void add_device_options(OptionSchema& schema) {
  schema.add(real_option("devices.speed", 1000, "virtual clients: samples trained a second").above(0));
  schema.add(real_option("network.up_mbps", 10, "virtual clients: upload rate, Mbit/s").above(0));
  schema.add(real_option("network.down_mbps", 50, "virtual clients: download rate, Mbit/s").above(0));
  schema.add(real_option("network.latency_ms", 50, "virtual clients: one-way latency").at_least(0));
}

}  // namespace gossamer
