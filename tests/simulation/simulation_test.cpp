// Whole federations in one process, on the virtual clock.
#include "simulation/simulation.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/configuration.h"
#include "client/datasets/data_options.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

Options configured(const std::map<std::string, std::string>& given, const TemporaryFolder& folder) {
  Options options(full_schema());
  options.set("run.out", (folder.path() / "run").string());
  options.set("run.overwrite", "true");
  options.set("data.clients", "4");
  options.set("data.digits.test_samples", "100");
  options.set("model.name", "logistic");
  options.set("cohort.fraction", "1");
  for (const auto& [key, value] : given) options.set(key, value);
  return options;
}

struct Outcome {
  std::string stopped_by;
  std::vector<RoundMetrics> rounds;
  FloatBuffer model;
};

enum class Lengths { known, unknown };

Outcome simulate(const std::map<std::string, std::string>& given, int threads,
                 Lengths lengths = Lengths::known) {
  const TemporaryFolder folder;
  Options options = configured(given, folder);
  options.check_methods();
  const auto data = make_dataset(options);
  resolve(options);
  const auto model = make_model(options, data->shape());
  auto initial = std::make_shared<Parameters>();
  initial->layout = model->layout();
  initial->values.assign(model->values().begin(), model->values().end());

  TrainerPool pool(options, *data, threads);
  Simulation simulation(options, *data, pool);
  if (lengths == Lengths::unknown) simulation.expect_any_length();
  const auto made = make_coordinator(options, initial);
  Coordinator& coordinator = *made;
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::quiet, options.integer("run.rounds"));
  RunKeeper keeper(options, RunFolder::create(options), "virtual", progress);
  keeper.resume(coordinator);
  RunServices services;
  services.evaluate = [&](const Parameters& version) { return simulation.evaluate(version); };
  services.save_model = [](const Parameters&, const std::filesystem::path&) {};
  keeper.set_services(std::move(services));

  Outcome outcome;
  outcome.stopped_by = simulation.run(coordinator, keeper, [] { return false; });
  outcome.rounds = read_metrics(keeper.folder().metrics());
  outcome.model = coordinator.model()->values;
  return outcome;
}

void expect_same(const Outcome& one, const Outcome& other, const std::string& what) {
  EXPECT_EQ(one.model, other.model) << what;
  ASSERT_EQ(one.rounds.size(), other.rounds.size()) << what;
  for (std::size_t i = 0; i < one.rounds.size(); ++i) {
    RoundMetrics a = one.rounds[i], b = other.rounds[i];
    a.wall_s = b.wall_s = 0;
    a.rss_mb = b.rss_mb = std::nullopt;
    EXPECT_EQ(a, b) << what;
  }
}

TEST(Simulation, DoesNotDependOnTheNumberOfThreads) {
  for (const char* algorithm : {"fedavg", "fedprox", "easgd", "eamsgd", "local_sgd", "fedsgd"}) {
    std::map<std::string, std::string> keys{{"algorithm.name", algorithm}, {"run.rounds", "3"}};
    if (std::string(algorithm) != "fedsgd") keys["client.local_steps"] = "3";
    if (std::string(algorithm) == "fedprox") keys.erase("client.local_steps");
    const Outcome one = simulate(keys, 1);
    for (const int threads : {2, 5}) expect_same(one, simulate(keys, threads), algorithm);
  }
}

// Clients of many sizes, so that they end in another order than they began; some after the round's end.
TEST(Simulation, DoesNotDependOnWhenAnUpdatesLengthIsKnown) {
  const std::map<std::string, std::string> keys{
      {"data.clients", "20"},   {"data.partition", "quantity_skew"}, {"run.rounds", "4"},
      {"devices.speed", "100"}, {"network.latency_ms", "0"},         {"cohort.deadline_s", "0.5"},
      {"sync.late", "finish"}};
  const Outcome known = simulate(keys, 2);
  std::int64_t late = 0;
  for (const RoundMetrics& round : known.rounds) late += round.dropped;
  EXPECT_GT(late, 0);
  for (const int threads : {1, 2, 5}) {
    expect_same(known, simulate(keys, threads, Lengths::unknown), "unknown");
    expect_same(known, simulate(keys, threads, Lengths::known), "known");
  }
}

TEST(Simulation, TheVirtualClockAddsUpDownloadTrainingAndUpload) {
  const Outcome outcome = simulate({{"run.rounds", "2"},
                                    {"devices.speed", "100"},
                                    {"network.down_mbps", "8"},
                                    {"network.up_mbps", "4"},
                                    {"network.latency_ms", "250"}},
                                   2);
  const double frame = (784 * 10 + 10) * 4 + static_cast<double>(kFrameHeaderBytes);
  const double round = 0.25 + frame / 1e6 + 60.0 / 100 + 0.25 + frame / 0.5e6;
  EXPECT_NEAR(outcome.rounds.at(0).time_s, round, 1e-9);
  EXPECT_NEAR(outcome.rounds.at(1).time_s, 2 * round, 1e-9);
  EXPECT_EQ(outcome.rounds[0].bytes_down, static_cast<std::uint64_t>(4 * frame));
  EXPECT_EQ(outcome.rounds[0].bytes_up, static_cast<std::uint64_t>(4 * frame));
  EXPECT_EQ(outcome.rounds[0].samples, 4 * 60);
}

TEST(Simulation, ADeadlineLeavesTheSlowBehind) {
  // With sizes that differ, a deadline between the quickest and the slowest client drops some, not all.
  const std::map<std::string, std::string> keys{
      {"data.clients", "20"},   {"data.partition", "quantity_skew"}, {"run.rounds", "2"},
      {"devices.speed", "100"}, {"network.latency_ms", "0"},         {"cohort.deadline_s", "0.5"}};
  const Outcome outcome = simulate(keys, 2);
  EXPECT_GT(outcome.rounds[0].clients, 0);
  EXPECT_GT(outcome.rounds[0].dropped, 0);
  EXPECT_EQ(outcome.rounds[0].clients + outcome.rounds[0].dropped, 20);
  EXPECT_NEAR(outcome.rounds[0].time_s, 0.5, 1e-9);
  EXPECT_EQ(outcome.model, simulate(keys, 1).model);
}

TEST(Simulation, PlansWhatTrainersDo) {
  const std::vector<std::map<std::string, std::string>> cases{
      {{"client.local_epochs", "3"}},
      {{"client.local_steps", "7"}},
      {{"client.local_steps", "25"}},
      {{"client.local_steps", "4"}, {"client.batch_size", "0"}},
      {{"client.local_steps", "5"}, {"client.batch_size", "64"}},
      {{"client.batch_size", "7"}},
      {{"client.batch_size", "7"}, {"client.local_steps", "20"}},
      {{"algorithm.name", "fedsgd"}},
      {{"algorithm.name", "fedprox"}, {"client.local_epochs", "6"}, {"devices.straggler_fraction", "0.7"}},
      {{"algorithm.name", "easgd"}, {"client.local_steps", "11"}},
  };
  for (std::map<std::string, std::string> keys : cases) {
    keys["run.rounds"] = "2";
    const Outcome outcome = simulate(keys, 2);
    const TemporaryFolder folder;
    Options options = configured(keys, folder);
    const auto data = make_dataset(options);
    resolve(options);
    const DeviceModel devices(options);
    for (const RoundMetrics& round : outcome.rounds) {
      std::int64_t planned = 0;
      for (ClientId client = 0; client < 4; ++client) {
        planned += devices.planned_samples(data->examples(client), client, round.round);
      }
      EXPECT_EQ(round.samples, planned) << ::testing::PrintToString(keys);
    }
  }
}

TEST(Simulation, StopsAtTheTarget) {
  const Outcome outcome =
      simulate({{"run.rounds", "50"}, {"run.target_accuracy", "0.3"}, {"client.lr", "0.5"}}, 2);
  EXPECT_EQ(outcome.stopped_by, "target_accuracy");
  EXPECT_LT(outcome.rounds.size(), 50U);
  EXPECT_GE(outcome.rounds.back().test_accuracy, 0.3);
}

// A configuration that is written out and read again is the same configuration.
TEST(Configuration, ResolvingAResolvedConfigurationChangesNothing) {
  const TemporaryFolder folder;
  for (const std::string& name : algorithms().names()) {
    Options first = configured({{"algorithm.name", name}}, folder);
    const auto data = make_dataset(first);
    resolve(first);
    Options second(full_schema());
    std::istringstream ini(first.to_ini());
    std::string line, section;
    while (std::getline(ini, line)) {
      if (line.starts_with('[')) section = line.substr(1, line.size() - 2);
      const auto equals = line.find(" = ");
      if (equals != std::string::npos)
        second.set(section + '.' + line.substr(0, equals), line.substr(equals + 3));
    }
    second.check_methods();
    resolve(second);
    EXPECT_EQ(first.digest(), second.digest()) << name;
  }
}

TEST(Configuration, CombinationsThatCannotWorkAreRefused) {
  const TemporaryFolder folder;
  const std::vector<std::map<std::string, std::string>> refused{
      {{"cohort.size", "2"}},                                       // and cohort.fraction is given
      {{"cohort.size", "9"}},                                       // more than there are clients
      {{"client.id", "4"}},                                         //
      {{"algorithm.name", "easgd"}, {"cohort.deadline_s", "1"}},    // would lose a client's state
      {{"algorithm.name", "fedsgd"}, {"client.batch_size", "10"}},  // contradicts the algorithm
      {{"run.resume", "true"}},                                     // and run.overwrite is given
      {{"algorithm.fedprox.mu", "1"}},                              // not the chosen method
  };
  for (const auto& keys : refused) {
    EXPECT_THROW(
        {
          Options options = configured(keys, folder);
          options.check_methods();
          resolve(options);
        },
        ConfigError)
        << ::testing::PrintToString(keys);
  }
}

}  // namespace
}  // namespace gossamer
