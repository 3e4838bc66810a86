// Sync modes and devices in virtual time.
#include <cmath>

#include "tests/simulation/simulated.h"

namespace gossamer {
namespace {

using Keys = std::map<std::string, std::string>;

Keys operator+(Keys keys, const Keys& more) {
  for (const auto& [key, value] : more) keys[key] = value;
  return keys;
}

// Everything that makes devices differ, so that updates come in no particular order.
const Keys kUneven{{"data.clients", "8"},      {"client.local_steps", "2"},
                   {"devices.speed", "50"},    {"devices.distribution", "exponential"},
                   {"devices.jitter", "0.3"},  {"devices.slow_step_probability", "0.2"},
                   {"devices.dropout", "0.1"}, {"network.loss", "0.1"}};

const std::map<std::string, Keys>& modes() {
  static const std::map<std::string, Keys> table{
      {"ssp", {{"sync.mode", "ssp"}, {"sync.staleness", "2"}, {"run.rounds", "6"}}},
      {"async",
       {{"sync.mode", "async"}, {"cohort.fraction", "0.5"}, {"run.rounds", "30"}, {"run.eval_every", "5"}}},
      {"downpour", {{"algorithm.name", "downpour"}, {"run.rounds", "30"}, {"run.eval_every", "5"}}},
      {"fedasync", {{"algorithm.name", "fedasync"}, {"run.rounds", "30"}, {"run.eval_every", "5"}}},
      {"fedbuff", {{"algorithm.name", "fedbuff"}, {"sync.buffer", "3"}, {"run.rounds", "8"}}},
      {"easgd",
       {{"algorithm.name", "easgd"}, {"sync.mode", "async"}, {"run.rounds", "30"}, {"run.eval_every", "5"}}},
      {"eamsgd",
       {{"algorithm.name", "eamsgd"},
        {"algorithm.eamsgd.momentum", "0.9"},
        {"sync.mode", "async"},
        {"run.rounds", "30"},
        {"run.eval_every", "5"}}},
      {"dc_asgd",
       {{"algorithm.name", "dc_asgd"},
        {"client.local_steps", "1"},
        {"run.rounds", "30"},
        {"run.eval_every", "5"}}},
      {"backup", {{"cohort.fraction", "0.5"}, {"sync.backup_workers", "2"}, {"run.rounds", "6"}}},
      {"backup, late work ends",
       {{"cohort.fraction", "0.5"},
        {"sync.backup_workers", "2"},
        {"sync.late", "finish"},
        {"run.rounds", "6"}}}};
  return table;
}

TEST(SyncModes, DoNotDependOnTheNumberOfThreads) {
  for (const auto& [name, keys] : modes()) {
    const Outcome one = simulate(kUneven + keys, 1);
    EXPECT_EQ(one.stopped_by, "rounds") << name;
    expect_same(one, simulate(kUneven + keys, 3), name);
  }
}

// Work that was under way at the checkpoint is taken up: the same virtual times, the same model.
TEST(SyncModes, AResumedRunIsTheUninterruptedOne) {
  for (const auto& [name, mode] : modes()) {
    if (name == "backup, late work ends") continue;     // who is still busy is forgotten, as is their work
    if (name == "easgd" || name == "eamsgd") continue;  // what clients were training is forgotten
    const Keys keys = kUneven + mode + Keys{{"server.checkpoint_every", "4"}};
    const Outcome whole = simulate(keys, 2);
    const TemporaryFolder folder;
    simulate_in(folder, keys, 2, Lengths::known, 5);
    const Outcome resumed =
        simulate_in(folder, keys + Keys{{"run.overwrite", "false"}, {"run.resume", "true"}}, 2);
    expect_same(whole, resumed, name);
  }
}

TEST(SyncModes, AResumedAsynchronousElasticRunGoesOn) {
  const Keys keys = kUneven + modes().at("easgd") + Keys{{"server.checkpoint_every", "4"}};
  const TemporaryFolder folder;
  simulate_in(folder, keys, 2, Lengths::known, 9);
  const Outcome resumed =
      simulate_in(folder, keys + Keys{{"run.overwrite", "false"}, {"run.resume", "true"}}, 2);
  EXPECT_EQ(resumed.stopped_by, "rounds");
  ASSERT_EQ(resumed.rounds.size(), 30U);
  for (std::size_t i = 1; i < resumed.rounds.size(); ++i)
    EXPECT_GE(resumed.rounds[i].time_s, resumed.rounds[i - 1].time_s);
}

TEST(SyncModes, UpdatesOfUnknownLengthChangeNothingButWaiting) {
  const Keys keys = kUneven + modes().at("easgd");
  expect_same(simulate(keys, 2), simulate(keys, 2, Lengths::unknown), "easgd");
}

const Keys kAdaptiveTau{{"algorithm.name", "adaptive_tau"},
                        {"data.clients", "4"},
                        {"sync.budget_s", "20"},
                        {"run.rounds", "1000"},
                        {"client.batch_size", "10"},
                        {"client.lr", "0.01"},
                        {"devices.speed", "500"},
                        {"devices.jitter", "0.3"},
                        {"run.eval_every", "7"},
                        {"network.latency_ms", "100"}};

TEST(AdaptiveTau, SpendsItsBudgetAndEndsWithAnEvaluation) {
  const Outcome outcome = simulate(kAdaptiveTau, 2);
  EXPECT_EQ(outcome.stopped_by, "budget");
  ASSERT_GT(outcome.rounds.size(), 3U);
  EXPECT_EQ(outcome.rounds[0].samples, 4 * 10) << "one step each";
  EXPECT_TRUE(outcome.rounds.back().test_accuracy.has_value());
  std::int64_t most = 0;
  for (const RoundMetrics& round : outcome.rounds) most = std::max(most, round.samples);
  EXPECT_GT(most, 4 * 10);
  EXPECT_LT(outcome.rounds.back().time_s, 20 * 1.1);
  EXPECT_GT(outcome.rounds.back().time_s, 20 * 0.8);
  expect_same(outcome, simulate(kAdaptiveTau, 1), "threads");
}

TEST(AdaptiveTau, AResumedRunIsTheUninterruptedOne) {
  const Keys keys = kAdaptiveTau + Keys{{"server.checkpoint_every", "4"}};
  const Outcome whole = simulate(keys, 2);
  ASSERT_GT(whole.rounds.size(), 6U);
  // The test's run saves no clients' states: they have no estimates in the round after it.
  const TemporaryFolder folder;
  simulate_in(folder, keys, 2, Lengths::known, 5);
  const Outcome resumed =
      simulate_in(folder, keys + Keys{{"run.overwrite", "false"}, {"run.resume", "true"}}, 2);
  EXPECT_EQ(resumed.stopped_by, "budget");
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(resumed.rounds[i].time_s, whole.rounds[i].time_s);
  EXPECT_NEAR(resumed.rounds.back().time_s, whole.rounds.back().time_s, 2);
}

// Chen et al. 2016: with Exp(1) delays, the N-th of M workers arrives after H_M - H_(M - N) on average.
TEST(BackupWorkers, ARoundTakesAsLongAsTheOrderStatisticSays) {
  const auto harmonic = [](int n) {
    double sum = 0;
    for (int k = 1; k <= n; ++k) sum += 1.0 / k;
    return sum;
  };
  constexpr int kStarted = 10;
  constexpr int kRounds = 3000;
  for (const int needed : {8, 9, 10}) {
    const Outcome outcome = simulate({{"data.clients", "10"},
                                      {"data.digits.samples_per_client", "1"},
                                      {"cohort.fraction", std::to_string(needed / 10.0)},
                                      {"sync.backup_workers", std::to_string(kStarted - needed)},
                                      {"client.local_steps", "1"},
                                      {"client.batch_size", "1"},
                                      {"devices.speed", "1"},
                                      {"devices.distribution", "exponential"},
                                      {"devices.drawn", "round"},
                                      {"network.latency_ms", "0"},
                                      {"network.up_mbps", "1e9"},
                                      {"network.down_mbps", "1e9"},
                                      {"run.rounds", std::to_string(kRounds)},
                                      {"run.eval_every", std::to_string(kRounds)}},
                                     2);
    const double expected = harmonic(kStarted) - harmonic(kStarted - needed);
    EXPECT_NEAR(outcome.rounds.back().time_s / kRounds, expected, 0.03 * expected) << needed;
    for (const RoundMetrics& round : outcome.rounds) {
      ASSERT_EQ(round.clients, needed);
      ASSERT_EQ(round.dropped, kStarted - needed);
    }
  }
}

TEST(BackupWorkers, LateWorkKeepsItsClientBusyUnlessItIsCalledOff) {
  const Keys keys{{"data.clients", "4"},        {"cohort.fraction", "0.75"}, {"sync.backup_workers", "1"},
                  {"devices.speed", "60"},      {"network.latency_ms", "0"}, {"network.up_mbps", "1e9"},
                  {"network.down_mbps", "1e9"}, {"devices.jitter", "1"},     {"run.rounds", "40"},
                  {"client.local_epochs", "1"}, {"run.eval_every", "40"}};
  const Outcome cancelled = simulate(keys, 2);
  const Outcome finished = simulate(keys + Keys{{"sync.late", "finish"}}, 2);
  EXPECT_LT(cancelled.rounds.back().time_s, finished.rounds.back().time_s);
  for (const RoundMetrics& round : finished.rounds) EXPECT_EQ(round.clients, 3);
}

// With one worker nothing is ever stale: every mode is sequential SGD, within the rounding of the
// differences.
TEST(SyncModes, OneWorkerIsSequential) {
  const Keys one{{"data.clients", "1"},
                 {"client.local_steps", "1"},
                 {"run.rounds", "40"},
                 {"run.eval_every", "40"},
                 {"server.lr", "1"}};
  const Outcome bsp = simulate(one, 1);
  for (const Keys& mode :
       {Keys{{"sync.mode", "ssp"}}, Keys{{"sync.mode", "async"}},
        Keys{{"sync.mode", "buffered"}, {"sync.buffer", "1"}}, Keys{{"algorithm.name", "downpour"}}}) {
    const Outcome other = simulate(one + mode, 1);
    ASSERT_EQ(other.model.size(), bsp.model.size());
    double worst = 0;
    for (std::size_t i = 0; i < bsp.model.size(); ++i)
      worst = std::max(worst, std::abs(static_cast<double>(bsp.model[i]) - other.model[i]));
    EXPECT_LT(worst, 1e-6) << mode.begin()->second;
  }
}

TEST(Ssp, WithoutStalenessTrainsTheModelOfBsp) {
  const Keys keys{{"data.clients", "5"}, {"run.rounds", "10"}, {"devices.distribution", "exponential"}};
  const Outcome bsp = simulate(keys + Keys{{"server.weighting", "uniform"}}, 2);
  const Outcome ssp = simulate(keys + Keys{{"sync.mode", "ssp"}, {"sync.staleness", "0"}}, 2);
  for (std::size_t i = 0; i < bsp.model.size(); ++i) ASSERT_NEAR(bsp.model[i], ssp.model[i], 1e-6);
  EXPECT_NEAR(bsp.rounds.back().time_s, ssp.rounds.back().time_s, 1e-9) << "as long, too";
}

TEST(Staleness, OfAnAsynchronousRunIsThatOfItsEvents) {
  const Outcome outcome = simulate(kUneven + modes().at("async") + Keys{{"devices.dropout", "0"}}, 2);
  double total = 0;
  for (const RoundMetrics& round : outcome.rounds) {
    EXPECT_EQ(round.clients, 1);
    EXPECT_GE(round.staleness_max, 0);
    EXPECT_EQ(round.staleness_mean, static_cast<double>(round.staleness_max)) << "one update a round";
    total += round.staleness_mean;
  }
  // Four are at work: in the long run each update meets a model that the other three have changed.
  EXPECT_NEAR(total / static_cast<double>(outcome.rounds.size()), 3, 1);
}

TEST(Devices, AvailabilityMakesClientsWait) {
  Options options(full_schema());
  options.set("devices.availability", "0.25");
  options.set("devices.availability_period_s", "100");
  const DeviceModel devices(options);
  int waited = 0;
  for (ClientId client = 0; client < 4000; ++client) {
    const Seconds wait = devices.waiting_seconds(client, 1234.5);
    ASSERT_GE(wait, 0);
    ASSERT_LE(wait, 75);
    if (wait > 0) {
      ++waited;
      EXPECT_EQ(devices.waiting_seconds(client, 1234.5 + wait + 1), 0) << "and then it is available";
    }
  }
  EXPECT_NEAR(waited / 4000.0, 0.75, 0.03);
}

TEST(Devices, DistributionsHaveTheirMeans) {
  const std::map<std::string, double> means{{"constant", 1},
                                            {"uniform", 1},
                                            {"exponential", 1},
                                            {"half_normal", std::sqrt(2 / 3.14159265)},
                                            {"pareto", 1.5}};
  for (const auto& [name, mean] : means) {
    Options options(full_schema());
    options.set("devices.distribution", name);
    options.set("devices.shape", "3");
    options.set("devices.speed", "1");
    options.set("client.local_epochs", "1");
    const DeviceModel devices(options);
    double sum = 0;
    for (ClientId client = 0; client < 50'000; ++client) sum += devices.training_seconds(1, client, 1);
    EXPECT_NEAR(sum / 50'000, mean, 0.02 * mean) << name;
    EXPECT_EQ(devices.training_seconds(1, 7, 1), devices.training_seconds(1, 7, 2)) << "drawn once a client";
  }
}

TEST(Devices, ATraceGivesEachClientItsLine) {
  const TemporaryFolder folder;
  write_atomically(folder.path() / "devices.csv", "# samples/s, up, down\n10\n20,8,16\n");
  Options options(full_schema());
  options.set("devices.trace", (folder.path() / "devices.csv").string());
  options.set("network.latency_ms", "0");
  const DeviceModel devices(options);
  EXPECT_DOUBLE_EQ(devices.training_seconds(100, 0, 1), 10);
  EXPECT_DOUBLE_EQ(devices.training_seconds(100, 3, 1), 5);
  EXPECT_DOUBLE_EQ(devices.upload_seconds(1'000'000, 1, 1), 1);
  EXPECT_DOUBLE_EQ(devices.download_seconds(1'000'000, 1, 1), 0.5);
  for (const char* bad : {"", "# nothing\n", "fast\n", "10,\n", "10,1,1,1\n", "-1\n", "nan\n"}) {
    write_atomically(folder.path() / "devices.csv", bad);
    EXPECT_THROW(DeviceModel{options}, FileError) << bad;
  }
}

TEST(Configuration, SyncKeysThatContradictAreRefused) {
  const auto refused = [](Keys keys) {
    const TemporaryFolder folder;
    Options options = configured(keys, folder);
    EXPECT_THROW(resolve(options), ConfigError) << keys.begin()->first << " = " << keys.begin()->second;
  };
  refused({{"algorithm.name", "fedbuff"}, {"sync.mode", "async"}});
  refused({{"algorithm.name", "downpour"}, {"client.momentum", "0.9"}});
  refused({{"algorithm.name", "easgd"}, {"sync.mode", "ssp"}});
  refused({{"algorithm.name", "easgd"}, {"sync.mode", "async"}, {"sync.pull", "with_work"}});
  refused({{"sync.mode", "async"}, {"sync.pull", "on_request"}});
  refused({{"sync.pull", "on_request"}});
  refused({{"sync.local_steps", "adaptive"}});
  refused({{"sync.staleness", "2"}});
  refused({{"sync.mode", "async"}, {"sync.buffer", "2"}});
  refused({{"sync.mode", "ssp"}, {"cohort.fraction", "0.5"}});
  refused({{"sync.mode", "ssp"}, {"sync.correction", "mixing"}});
  refused({{"sync.correction", "mixing"}});
  refused({{"sync.mode", "async"}, {"server.weighting", "examples"}});
  refused({{"sync.mode", "async"}, {"cohort.deadline_s", "3"}});
  refused({{"sync.backup_workers", "1"}});  // the cohort is everybody already
}

}  // namespace
}  // namespace gossamer
