#include "simulation/device_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <fstream>

#include "core/error.h"
#include "core/rng.h"
#include "core/straggler.h"

namespace gossamer {
namespace {

constexpr double kBytesPerMegabit = 1e6 / 8;
// Streams of one client that do not belong to a round of work.
constexpr std::uint64_t kOfTheClient = UINT64_MAX;

Rng stream(std::uint64_t seed, Purpose purpose, ClientId client, std::uint64_t round) {
  return {seed, purpose, static_cast<std::uint64_t>(client), round};
}

}  // namespace

DeviceModel::DeviceModel(const Options& options)
    : common_{options.real("devices.speed"), options.real("network.up_mbps") * kBytesPerMegabit,
              options.real("network.down_mbps") * kBytesPerMegabit},
      latency_(options.real("network.latency_ms") / 1000),
      server_rate_(options.real("network.server_mbps") * kBytesPerMegabit),
      upper_rate_(options.real("network.upper_mbps") * kBytesPerMegabit),
      upper_latency_(options.real("network.upper_latency_ms") / 1000),
      loss_(options.real("network.loss")),
      spread_(options.real("devices.spread")),
      shape_(options.real("devices.shape")),
      every_round_(options.text("devices.drawn") == "round"),
      jitter_(options.real("devices.jitter")),
      slow_step_probability_(options.real("devices.slow_step_probability")),
      slow_step_factor_(options.real("devices.slow_step_factor")),
      availability_(options.real("devices.availability")),
      availability_period_(options.real("devices.availability_period_s")),
      dropout_(options.real("devices.dropout")),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      epochs_(options.integer("client.local_epochs")),
      steps_(options.integer("client.local_steps")),
      batch_(options.integer("client.batch_size")),
      straggler_fraction_(options.real("devices.straggler_fraction")),
      straggler_slowdown_(options.real("devices.straggler_slowdown")) {
  const std::string& name = options.text("devices.distribution");
  distribution_ = name == "uniform"       ? Distribution::uniform
                  : name == "half_normal" ? Distribution::half_normal
                  : name == "exponential" ? Distribution::exponential
                  : name == "pareto"      ? Distribution::pareto
                                          : Distribution::constant;
  if (!options.text("devices.trace").empty()) read_trace(options.text("devices.trace"));
}

Seconds DeviceModel::download_seconds(std::size_t bytes, ClientId client, Round round) const {
  return transmissions(client, round, false) * (latency_ + static_cast<double>(bytes) / device(client).down);
}

Seconds DeviceModel::upload_seconds(std::size_t bytes, ClientId client, Round round) const {
  return transmissions(client, round, true) * (latency_ + static_cast<double>(bytes) / device(client).up);
}

DeviceModel DeviceModel::of_upper_links() const {
  DeviceModel upper = *this;
  if (upper_rate_ > 0) {
    upper.common_.up = upper.common_.down = upper_rate_;
    upper.trace_.clear();
  }
  if (upper_latency_ >= 0) upper.latency_ = upper_latency_;
  return upper;
}

DeviceModel::Wire DeviceModel::wire(ClientId client, Round round) const {
  const Device own = device(client);
  return {own.up, own.down, latency_, transmissions(client, round, true)};
}

std::int64_t DeviceModel::planned_samples(std::int64_t examples, ClientId client, Round round,
                                          std::int64_t asked) const {
  const std::int64_t steps = asked > 0 ? asked : steps_;
  if (steps == 0) {
    const bool does_a_part = straggler_fraction_ > 0 && straggler_slowdown_ <= 1 &&
                             is_straggler(seed_, straggler_fraction_, client, round);
    return examples * (does_a_part ? straggler_epochs(seed_, client, round, epochs_) : epochs_);
  }
  if (batch_ == 0 || batch_ >= examples) return steps * examples;
  // Each pass over the data ends with what is left, a batch that may be smaller.
  const std::int64_t steps_a_pass = (examples + batch_ - 1) / batch_;
  return steps / steps_a_pass * examples + steps % steps_a_pass * batch_;
}

Seconds DeviceModel::training_seconds(std::int64_t examples, ClientId client, Round round,
                                      std::int64_t steps) const {
  const std::int64_t samples = planned_samples(examples, client, round, steps);
  return static_cast<double>(samples) / device(client).speed * slowness(client, round) *
         step_factor(samples, client, round, steps);
}

Seconds DeviceModel::waiting_seconds(ClientId client, Seconds now) const {
  if (availability_ >= 1) return 0;
  // Available for the first part of each period, which begins at a time of the client's own.
  const double phase = stream(seed_, Purpose::availability, client, 0).uniform() * availability_period_;
  const double since = std::fmod(now + phase, availability_period_);
  return since < availability_ * availability_period_ ? 0 : availability_period_ - since;
}

bool DeviceModel::drops_out(ClientId client, Round round) const {
  return dropout_ > 0 &&
         stream(seed_, Purpose::device_dropout, client, static_cast<std::uint64_t>(round)).uniform() <
             dropout_;
}

double DeviceModel::dropout_point(ClientId client, Round round) const {
  Rng rng = stream(seed_, Purpose::device_dropout, client, static_cast<std::uint64_t>(round));
  static_cast<void>(rng.uniform());  // the draw of drops_out()
  return rng.uniform();
}

DeviceModel::Device DeviceModel::device(ClientId client) const {
  return trace_.empty() ? common_ : trace_[static_cast<std::size_t>(client) % trace_.size()];
}

double DeviceModel::slowness(ClientId client, Round round) const {
  double slowness = draw(client, round);
  if (jitter_ > 0) {
    // Lognormal with mean 1.
    Rng rng = stream(seed_, Purpose::device_jitter, client, static_cast<std::uint64_t>(round));
    slowness *= std::exp(jitter_ * rng.normal() - jitter_ * jitter_ / 2);
  }
  // The same clients in every round: a straggler of round 0.
  if (straggler_slowdown_ > 1 && is_straggler(seed_, straggler_fraction_, client, 0))
    slowness *= straggler_slowdown_;
  return slowness;
}

double DeviceModel::draw(ClientId client, Round round) const {
  if (distribution_ == Distribution::constant) return 1;
  Rng rng = stream(seed_, Purpose::device_speed, client,
                   every_round_ ? static_cast<std::uint64_t>(round) : kOfTheClient);
  switch (distribution_) {
    case Distribution::uniform:
      return 1 + spread_ * (2 * rng.uniform() - 1);
    case Distribution::half_normal:
      return std::abs(rng.normal());
    case Distribution::exponential:
      return -std::log1p(-rng.uniform());
    case Distribution::pareto:
      return std::pow(1 - rng.uniform(), -1 / shape_);
    case Distribution::constant:
      break;
  }
  return 1;
}

// The mean over the steps of this round's work, some of which are slow.
double DeviceModel::step_factor(std::int64_t samples, ClientId client, Round round,
                                std::int64_t asked) const {
  if (slow_step_probability_ == 0) return 1;
  const std::int64_t batch = batch_ == 0 ? std::max<std::int64_t>(samples, 1) : batch_;
  const std::int64_t steps = std::max<std::int64_t>(1, asked > 0    ? asked
                                                       : steps_ > 0 ? steps_
                                                                    : (samples + batch - 1) / batch);
  Rng rng = stream(seed_, Purpose::device_step, client, static_cast<std::uint64_t>(round));
  std::int64_t slow = 0;
  for (std::int64_t step = 0; step < steps; ++step) slow += rng.uniform() < slow_step_probability_ ? 1 : 0;
  return 1 + (slow_step_factor_ - 1) * static_cast<double>(slow) / static_cast<double>(steps);
}

// What is lost is sent again, whole.
double DeviceModel::transmissions(ClientId client, Round round, bool up) const {
  if (loss_ == 0) return 1;
  Rng rng =
      stream(seed_, Purpose::network_loss, client, 2 * static_cast<std::uint64_t>(round) + (up ? 1 : 0));
  double count = 1;
  while (rng.uniform() < loss_) ++count;
  return count;
}

// A line a device: samples/s, and where they differ from the configuration's Mbit/s up and down.
void DeviceModel::read_trace(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw FileError(path + ": cannot be opened");
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line.front() == '#') continue;
    std::array<double, 3> fields{common_.speed, common_.up / kBytesPerMegabit,
                                 common_.down / kBytesPerMegabit};
    const char* at = line.data();
    const char* const end = at + line.size();
    for (std::size_t field = 0;; ++field) {
      double value = 0;
      const auto [next, error] = std::from_chars(at, end, value);
      if (field == fields.size() || error != std::errc{} || !std::isfinite(value) || value <= 0 ||
          (next != end && *next != ',')) {
        throw FileError(
            path + ", line " + std::to_string(number) +
            ": expected samples/s, and at most Mbit/s up and down, each above 0, separated by commas");
      }
      fields[field] = value;
      if (next == end) break;
      at = next + 1;
    }
    trace_.push_back({fields[0], fields[1] * kBytesPerMegabit, fields[2] * kBytesPerMegabit});
  }
  if (trace_.empty()) throw FileError(path + ": holds no device");
}

void add_device_options(OptionSchema& schema) {
  schema.add(real_option("devices.speed", 1000, "virtual clients: samples trained a second").above(0));
  schema.add(text_option("devices.distribution", "constant",
                         "of the seconds that a sample takes, in multiples of 1 / devices.speed")
                 .one_of({"constant", "uniform", "half_normal", "exponential", "pareto"}));
  schema.add(text_option("devices.drawn", "client",
                         "from the distribution: once a client, or anew each round of work")
                 .one_of({"client", "round"}));
  schema.add(
      real_option("devices.spread", 0.5, "uniform: between 1 - spread and 1 + spread").above(0).at_most(1));
  schema.add(real_option("devices.shape", 2, "pareto: the exponent; the fastest take 1").above(0));
  schema.add(text_option(
      "devices.trace", "",
      "a CSV file with a line a device: samples/s, and optionally Mbit/s up and down; client k is "
      "line k mod lines"));
  schema.add(
      real_option("devices.jitter", 0, "each round of work takes a lognormal factor of mean 1; its sigma")
          .at_least(0));
  schema.add(real_option("devices.slow_step_probability", 0, "share of the steps that are slow")
                 .at_least(0)
                 .at_most(1));
  schema.add(
      real_option("devices.slow_step_factor", 3, "how many times longer a slow step takes").at_least(1));
  schema.add(real_option("devices.availability", 1, "share of the time in which a client takes on work")
                 .above(0)
                 .at_most(1));
  schema.add(
      real_option("devices.availability_period_s", 86400, "length of a client's day: available, then not")
          .above(0));
  schema.add(real_option("devices.dropout", 0, "probability that a client gives a round of work up")
                 .at_least(0)
                 .at_most(1));
  schema.add(real_option("network.up_mbps", 10, "virtual clients: upload rate, Mbit/s").above(0));
  schema.add(real_option("network.down_mbps", 50, "virtual clients: download rate, Mbit/s").above(0));
  schema.add(
      real_option("network.server_mbps", 0,
                  "line of the virtual server, and of each aggregator, each way, which those below share: "
                  "Mbit/s; 0: no limit")
          .at_least(0));
  schema.add(real_option("network.latency_ms", 50, "virtual clients: one-way latency").at_least(0));
  schema.add(real_option("network.emulated_latency_ms", 0,
                         "train, server and client: one-way latency added to what comes from other processes "
                         "(not with topology.name = mpi_allreduce)")
                 .at_least(0));
  schema.add(
      real_option("network.upper_mbps", 0,
                  "virtual trees: rate of the links above aggregators, each way, Mbit/s; 0: as clients'")
          .at_least(0));
  schema.add(real_option("network.upper_latency_ms", -1,
                         "virtual trees: one-way latency of these links; -1: network.latency_ms")
                 .at_least(-1));
  schema.add(real_option("network.loss", 0, "share of the transfers that are lost and sent again")
                 .at_least(0)
                 .at_most(0.99));
}

}  // namespace gossamer
