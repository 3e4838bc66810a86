// Whole federations in one process, on the virtual clock.
#include "tests/simulation/simulated.h"

namespace gossamer {
namespace {

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

TEST(Simulation, ClientsTakeTheServersLineInTurn) {
  const std::map<std::string, std::string> links{{"run.rounds", "2"},
                                                 {"devices.speed", "100"},
                                                 {"network.down_mbps", "1e9"},
                                                 {"network.up_mbps", "1e9"},
                                                 {"network.latency_ms", "250"}};
  auto limited = links;
  limited["network.server_mbps"] = "8";
  const double line = ((784 * 10 + 10) * 4 + static_cast<double>(kFrameHeaderBytes)) / 1e6;
  // The models leave one after the other, so the updates come one after the other.
  const double round = 0.25 + 4 * line + 60.0 / 100 + 0.25 + line;
  const Outcome shared = simulate(limited, 2);
  EXPECT_NEAR(shared.rounds.at(0).time_s, round, 1e-6);
  EXPECT_NEAR(shared.rounds.at(1).time_s, 2 * round, 1e-6);
  EXPECT_EQ(shared.model, simulate(links, 2).model);
  expect_same(shared, simulate(limited, 1, Lengths::unknown), "unknown lengths");
  // A line that is faster than all of them together changes nothing.
  limited["network.server_mbps"] = "1e12";
  limited["network.up_mbps"] = "4";
  EXPECT_NEAR(simulate(limited, 2).rounds.at(0).time_s, 0.25 + 60.0 / 100 + 0.25 + line * 2, 1e-4);
}

TEST(Simulation, ABusyLineIsFullAllTheTime) {
  const Outcome outcome = simulate({{"data.clients", "10"},
                                    {"sync.mode", "async"},
                                    {"run.rounds", "200"},
                                    {"run.eval_every", "200"},
                                    {"devices.speed", "1e6"},
                                    {"devices.jitter", "0.5"},
                                    {"network.down_mbps", "1e9"},
                                    {"network.up_mbps", "1e9"},
                                    {"network.latency_ms", "1"},
                                    {"network.server_mbps", "8"}},
                                   2);
  const double line = ((784 * 10 + 10) * 4 + static_cast<double>(kFrameHeaderBytes)) / 1e6;
  EXPECT_NEAR(outcome.rounds.back().time_s, 201 * line,
              0.01 * 201 * line);  // the first model, then an update each
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
    Options first = configured(
        {{"algorithm.name", name}, {"topology.name", name == "sync_sgd" ? "ring" : "parameter_server"}},
        folder);
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
