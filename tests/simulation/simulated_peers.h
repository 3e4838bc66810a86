#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "simulation/peer_simulation.h"
#include "tests/simulation/simulated.h"

namespace gossamer {

using Keys = std::map<std::string, std::string>;

inline Keys operator+(Keys left, const Keys& right) {
  for (const auto& [key, value] : right) left[key] = value;
  return left;
}

struct PeerOutcome : Outcome {
  std::vector<FloatBuffer> models;
};

inline PeerOutcome simulate_peers_in(const TemporaryFolder& folder, const Keys& given, int threads = 2,
                                     Round stop_after = INT64_MAX,
                                     const std::function<void(PeerSimulation&)>& observer = {}) {
  Options options = configured(given, folder);
  const auto data = make_dataset(options);
  resolve(options, RunsIn::simulation);
  const auto initial = initial_parameters(options, data->shape());

  TrainerPool pool(options, *data, threads_for_peers(options, threads));
  PeerSimulation simulation(options, *data, pool);
  if (observer) simulation.observe([&] { observer(simulation); });
  PeerCoordinator coordinator(options, initial);
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::quiet, options.integer("run.rounds"));
  RunKeeper keeper(options, RunFolder::create(options), "virtual", progress);
  keeper.resume(coordinator);
  keeper.set_services(services_of(simulation));

  PeerOutcome outcome;
  outcome.stopped_by =
      simulation.run(coordinator, keeper, [&] { return coordinator.version() >= stop_after; });
  keeper.finish(coordinator, outcome.stopped_by);
  outcome.rounds = read_metrics(keeper.folder().metrics());
  outcome.model = coordinator.model()->values;
  for (ClientId client = 0; client < options.integer("data.clients"); ++client) {
    const auto values = simulation.model_of(client).values();
    outcome.models.emplace_back(values.begin(), values.end());
  }
  return outcome;
}

}  // namespace gossamer
