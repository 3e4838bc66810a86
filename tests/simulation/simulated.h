#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "cli/configuration.h"
#include "client/datasets/data_options.h"
#include "core/error.h"
#include "server/tree_coordinator.h"
#include "simulation/shared_line.h"
#include "simulation/simulation.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {

inline Options configured(const std::map<std::string, std::string>& given, const TemporaryFolder& folder) {
  Options options(full_schema());
  options.set("run.out", (folder.path() / "run").string());
  options.set("run.overwrite", "true");
  options.set("data.clients", "4");
  if (!given.contains("data.dataset")) options.set("data.digits.test_samples", "100");
  options.set("model.name", "logistic");
  options.set("cohort.fraction", "1");
  for (const auto& [key, value] : given) options.set(key, value);
  return options;
}

// Why these keys cannot be; empty where they can.
inline std::string refusal_of(const std::map<std::string, std::string>& given) {
  const TemporaryFolder folder;
  Options options = configured(given, folder);
  try {
    resolve(options);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return {};
}

struct Outcome {
  std::string stopped_by;
  std::vector<RoundMetrics> rounds;
  FloatBuffer model;
  std::uint64_t spilled_bytes = 0;
};

inline std::shared_ptr<const Parameters> initial_parameters(const Options& options,
                                                            const ExampleShape& shape) {
  const auto model = make_model(options, shape);
  auto initial = std::make_shared<Parameters>();
  initial->layout = model->layout();
  initial->values.assign(model->values().begin(), model->values().end());
  return initial;
}

// Evaluates, and saves nothing. The simulation outlives them.
template <class Simulated>
RunServices services_of(Simulated& simulation) {
  RunServices services;
  services.evaluate = [&simulation](const Parameters& version) { return simulation.evaluate(version); };
  services.save_model = [](const Parameters&, const std::filesystem::path&) {};
  return services;
}

enum class Lengths { known, unknown };

// Runs to its end, or until `stop_after` rounds are done.
inline Outcome simulate_in(const TemporaryFolder& folder, const std::map<std::string, std::string>& given,
                           int threads, Lengths lengths = Lengths::known, Round stop_after = INT64_MAX) {
  Options options = configured(given, folder);
  const auto data = make_dataset(options);
  resolve(options);
  const auto initial = initial_parameters(options, data->shape());

  TrainerPool pool(options, *data, threads);
  Simulation simulation(options, *data, pool,
                        ClientStates(client_state_budget(options), folder / "client_states"));
  if (lengths == Lengths::unknown) simulation.expect_any_length();
  const auto made = make_coordination(options, initial, link_times(options));
  Coordination& coordinator = *made;
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::quiet, options.integer("run.rounds"));
  RunKeeper keeper(options, RunFolder::create(options), "virtual", progress);
  const auto checkpoint = keeper.resume(coordinator);
  RunServices services = services_of(simulation);
  if (saves_client_state(options, true)) {
    services.save_clients = [&](CheckpointWriter& writer) { simulation.states().save(writer); };
    if (checkpoint) simulation.states().load(*checkpoint);
  }
  keeper.set_services(std::move(services));

  Outcome outcome;
  outcome.stopped_by =
      simulation.run(coordinator, keeper, [&] { return coordinator.version() >= stop_after; });
  outcome.rounds = read_metrics(keeper.folder().metrics());
  outcome.model = coordinator.model()->values;
  outcome.spilled_bytes = simulation.states().spilled_bytes();
  return outcome;
}

inline Outcome simulate(const std::map<std::string, std::string>& given, int threads,
                        Lengths lengths = Lengths::known) {
  const TemporaryFolder folder;
  return simulate_in(folder, given, threads, lengths);
}

inline void expect_same(const Outcome& one, const Outcome& other, const std::string& what) {
  EXPECT_EQ(one.model, other.model) << what;
  ASSERT_EQ(one.rounds.size(), other.rounds.size()) << what;
  for (std::size_t i = 0; i < one.rounds.size(); ++i) {
    RoundMetrics a = one.rounds[i], b = other.rounds[i];
    a.wall_s = b.wall_s = 0;
    a.rss_mb = b.rss_mb = std::nullopt;
    if (std::isnan(a.train_loss) && std::isnan(b.train_loss)) a.train_loss = b.train_loss = 0;
    EXPECT_EQ(a, b) << what;
  }
}

}  // namespace gossamer
