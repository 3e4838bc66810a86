// The program as its users meet it: mistakes, signals, lost peers, and runs that go on after a crash.
#include <gmock/gmock.h>

#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <sstream>

#include "core/metrics.h"
#include "integration/fleet.h"
#include "support/tcp_counters.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

// What a command prints, and its exit code.
struct Said {
  int code;
  std::string text;
};

Said say(const Words& words) {
  const TemporaryFolder folder;
  Process process(Words{kProgram} + words, folder / "log");
  const auto code = process.wait(kLimit);
  return {code.value_or(-1), process.output()};
}

// One line, and this exit code.
void expect_refusal(const Said& said, int code, const std::string& text) {
  EXPECT_EQ(said.code, code) << said.text;
  EXPECT_THAT(said.text, HasSubstr(text));
  EXPECT_EQ(std::ranges::count(said.text, '\n'), 1) << said.text;
}

TEST(Program, AccountAnswersOnItsLastLine) {
  const Words run{"account", "--sampling_rate", "0.04", "--delta", "1e-5"};
  const auto last_line = [](const Said& said) {
    EXPECT_EQ(said.code, 0) << said.text;
    const std::size_t end = said.text.rfind('\n'), begin = said.text.rfind('\n', end - 1) + 1;
    return said.text.substr(begin, end - begin);
  };
  const Words noisy = run + Words{"--noise_multiplier", "1.5"}, whole = noisy + Words{"--steps", "2250"};
  EXPECT_EQ(last_line(say(whole)), "7.32911117");
  EXPECT_EQ(last_line(say(whole + Words{"--conversion", "classic"})), "8.07384828");
  EXPECT_NEAR(std::stod(last_line(say(whole + Words{"--accountant", "pld"}))), 6.7688, 1e-3);
  EXPECT_EQ(last_line(say(noisy + Words{"--target_epsilon", "7.3292"})), "2250");
  const Words target{"--steps", "2000", "--target_epsilon", "8"};
  EXPECT_NEAR(std::stod(last_line(say(run + target))), 1.3562, 2e-4);

  expect_refusal(say(run + Words{"--steps", "10"}), 2, "--noise_multiplier S is missing");
  expect_refusal(say(noisy), 2, "--steps T is missing");
  expect_refusal(say(whole + Words{"--target_epsilon", "1"}), 2, "give one of the two");
  expect_refusal(say(run + Words{"--steps", "10", "--target_epsilon", "0"}), 2,
                 "--target_epsilon = 0: expected a number above 0");
  expect_refusal(say(noisy + Words{"--steps", "1.5"}), 2, "--steps = 1.5: expected a whole number");
  expect_refusal(say(run + Words{"--steps", "10", "--noise_multiplier", "0"}), 2, "--noise_multiplier = 0");
  expect_refusal(say({"account", "--sampling_rate", "1.1", "--delta", "1e-5"}), 2, "at most 1");
  expect_refusal(say({"account", "--sampling_rate", "1", "--delta", "1"}), 2,
                 "--delta = 1: expected a number between");
  expect_refusal(say({"account", "--delta", "1e-5"}), 2, "--sampling_rate Q is missing");
  expect_refusal(say(whole + Words{"--accountant", "gdp"}), 2, "expected rdp or pld");
  expect_refusal(say(whole + Words{"--accountant", "pld", "--conversion", "classic"}), 2, "only used with");
}

TEST(Program, MistakesAreOneLineAndTheirExitCode) {
  const TemporaryFolder folder;
  expect_refusal(say({"simulat"}), 2, "simulate");
  expect_refusal(say({"simulate", "--client.bach_size", "5"}), 2, "client.batch_size");
  expect_refusal(say({"simulate", "--client.lr", "-1"}), 2, "client.lr = -1: expected a number above 0");
  expect_refusal(say({"simulate", "--algorithm.name", "fedagv"}), 2, "fedavg");
  expect_refusal(say({"simulate", "--algorithm.fedprox.mu", "1"}), 2,
                 "only used with algorithm.name = fedprox");
  expect_refusal(say({"simulate", (folder / "missing.ini").string()}), 2, "missing.ini");
  expect_refusal(say({"simulate", "--data.dataset", "mnist", "--data.path", (folder / "none").string()}), 4,
                 "none");
  expect_refusal(say({"evaluate", "--model", (folder / "none.pt").string()}), 4, "none.pt");
  expect_refusal(say({"server", "--server.listen", "tcp://0.0.0.0:5555"}), 2, "security.insecure");
  expect_refusal(say({"bench", "trains"}), 2,
                 "expected train, compression, allreduce, ddp, server or privacy");
  expect_refusal(say({"bench", "server", "--json", (folder / "none/rows.json").string()}), 2,
                 "cannot be written");
  expect_refusal(say({"bench", "allreduce"}), 2, "start it with mpirun -n 2");
  expect_refusal(say({"bench", "allreduce", "--bytes", "4,6"}), 2, "each a multiple of 4");
  std::ofstream(folder / "rubbish.pt") << "rubbish";
  expect_refusal(say({"evaluate", "--model", (folder / "rubbish.pt").string()}), 4, "rubbish.pt");
}

TEST(Program, MistakesUnderMpirunAreSaidOnce) {
  const TemporaryFolder folder;
  Process job(mpirun(3) + Words{"--cohort.size", "1000"}, folder / "log");
  const auto code = job.wait(kLimit);
  EXPECT_EQ(code, 2) << job.output();
  const std::string said = job.output();
  const std::string line = "gossamer: cohort.size = 1000: expected at most data.clients = 100\n";
  const auto first = said.find(line);
  ASSERT_NE(first, std::string::npos) << said;
  EXPECT_EQ(said.find("cohort.size", first + line.size()), std::string::npos) << said;
}

TEST(Program, BenchAllReduceChecksEveryImplementation) {
  const TemporaryFolder folder;
  const std::string rows = (folder / "rows.json").string();
  Process process({"mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", kProgram, "bench",
                   "allreduce", "--bytes", "4,65536", "--json", rows},
                  folder / "log");
  ASSERT_EQ(process.wait(kLimit), 0) << process.output();
  std::vector<std::string> seen;
  for (const auto& row : nlohmann::json::parse(read_file(rows))) {
    if (row.at("bytes") == 4) seen.push_back(row.at("implementation"));
    EXPECT_EQ(row.at("correct"), true) << row;
    EXPECT_EQ(row.at("ranks"), 2);
    EXPECT_GT(row.at("p50_us"), 0);
    EXPECT_GE(row.at("p99_us"), row.at("p50_us"));
    EXPECT_NEAR(row.at("algbw_gb_s"), row.at("bytes").get<double>() / row.at("p50_us").get<double>() / 1e3,
                1e-9);
    EXPECT_EQ(row.at("busbw_gb_s"), row.at("algbw_gb_s"));  // of two ranks
  }
  EXPECT_THAT(seen, ::testing::IsSupersetOf({"ring_mpi", "ring_zmq_ipc", "ring_zmq_tcp", "mpi_allreduce"}));
}

TEST(Program, NothingOfAnEarlierRunIsOverwritten) {
  const TemporaryFolder folder;
  const Words quick{"--data.clients", "2", "--run.rounds", "1", "--model.name", "logistic", "-q"};
  run_to_end({kProgram, "simulate"}, quick, folder / "run");
  expect_refusal(say(Words{"simulate"} + quick + Words{"--run.out", (folder / "run").string()}), 2,
                 "run.overwrite");
  run_to_end({kProgram, "simulate", "--run.overwrite"}, quick, folder / "run");
}

TEST(Program, AFileSizeLimitEndsARunLikeAFullDisk) {
  const TemporaryFolder folder;
  const Words keys{"--data.clients", "2", "--run.rounds", "100000", "-q"};
  struct Case {
    std::string limit, file;
    Words keys;
  };
  const std::vector<Case> cases{
      {"400000", "checkpoint", {"--model.name", "mlp", "--server.checkpoint_every", "1"}},
      {"100000", "metrics.jsonl", {"--model.name", "logistic", "--server.checkpoint_every", "0"}},
      {"900000",
       "client_states.tmp",
       {"--model.name", "mlp", "--server.checkpoint_every", "0", "--compression.up", "one_bit",
        "--run.client_state_mb", "0.5"}}};
  for (const Case& one : cases) {
    const auto out = folder / one.file;
    Process run(Words{"prlimit", "--fsize=" + one.limit, kProgram, "simulate"} + keys + one.keys +
                    Words{"--run.out", out.string()},
                folder / "log");
    const auto code = run.wait(kLimit);
    expect_refusal({code.value_or(-1), run.output()}, 3, "cannot write");
    EXPECT_THAT(run.output(), HasSubstr(one.file));
    EXPECT_THAT(run.output(), HasSubstr("File too large"));
  }
}

TEST(Program, EvaluateFindsWhatTheRunFound) {
  const TemporaryFolder folder;
  const Words keys{"--data.clients", "4", "--run.rounds", "2", "--model.name", "mlp", "-q"};
  const auto summary = run_to_end({kProgram, "simulate"}, keys, folder / "run");
  const Said said = say(Words{"evaluate", "--model", (folder / "run").string() + "/model.pt"} + keys);
  EXPECT_EQ(said.code, 0) << said.text;
  char expected[32];
  std::snprintf(expected, sizeof expected, "test_accuracy %.4f",
                summary.at("final_test_accuracy").get<double>());
  EXPECT_THAT(said.text, HasSubstr(expected));
}

TEST(Program, ADryRunPrintsThePlanAndWritesNothing) {
  const TemporaryFolder folder;
  const Said said = say({"simulate", "--dry-run", "--run.out", (folder / "run").string()});
  EXPECT_EQ(said.code, 0);
  EXPECT_THAT(said.text, HasSubstr("bytes_down"));
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

TEST(Program, ADryRunCountsWhatClientsKeep) {
  // 199,210 floats a model; those of its matrices, 784 x 200 + 200 x 200 + 200 x 10, can be left out.
  const Words keys{"simulate",       "--dry-run", "--model.name",  "mlp",
                   "--data.clients", "10000",     "--cohort.size", "10"};
  const auto expect_lines = [&](const Words& more, const std::string& memory, const std::string& states) {
    const Said said = say(keys + more);
    EXPECT_THAT(said.text, HasSubstr("# memory: about " + memory + " MB of models and updates at most\n"));
    EXPECT_THAT(said.text, HasSubstr(states));
  };
  expect_lines({}, "11", "MB of models and updates at most\n");
  const Words one_bit{"--compression.up", "one_bit"};
  expect_lines(one_bit + Words{"--run.client_state_mb", "500"}, "511",
               "# clients' states: up to 7952 MB, of which up to 7452 MB in a file");
  expect_lines(one_bit + Words{"--run.client_state_mb", "0"}, "7963", "at most\n");
}

const Words kLongRun{"--data.clients",
                     "4",
                     "--cohort.fraction",
                     "1",
                     "--model.name",
                     "mlp",
                     "--run.rounds",
                     "40",
                     "--server.checkpoint_every",
                     "3",
                     "--server.optimizer",
                     "adam",
                     "--server.lr",
                     "0.01",
                     "--client.local_epochs",
                     "2",
                     "-q"};

const Words kEamsgdRun{"--data.clients",
                       "4",
                       "--model.name",
                       "mlp",
                       "--run.rounds",
                       "40",
                       "--server.checkpoint_every",
                       "3",
                       "--algorithm.name",
                       "eamsgd",
                       "--client.local_steps",
                       "10",
                       "--client.lr",
                       "0.005",
                       "-q"};

TEST(Resume, AfterSigkillTheModelIsThatOfAnUninterruptedRun) {
  const TemporaryFolder folder;
  const Words one_residual{"--compression.up", "top_k", "--run.client_state_mb", "1"};
  for (const char* algorithm : {"fedavg", "eamsgd", "top_k"}) {
    const Words keys = std::string(algorithm) == "eamsgd"  ? kEamsgdRun
                       : std::string(algorithm) == "top_k" ? kLongRun + one_residual
                                                           : kLongRun;
    const std::string name = algorithm;
    const auto straight = run_to_end({kProgram, "simulate"}, keys, folder / (name + "-straight"));
    const auto out = folder / (name + "-killed");
    // Killed at three different moments, the first before any checkpoint.
    for (const int rounds : {2, 11, 25}) {
      Process run(Words{kProgram, "simulate"} + keys + Words{"--run.out", out.string(), "--run.resume"},
                  folder / "log");
      if (wait_for_rounds(run, out, rounds)) run.signal(SIGKILL);
      EXPECT_EQ(run.wait(kLimit), 128 + SIGKILL) << run.output();
    }
    const auto resumed = run_to_end({kProgram, "simulate", "--run.resume"}, keys, out);
    EXPECT_EQ(resumed.at("model_sha256"), straight.at("model_sha256")) << algorithm;
    EXPECT_EQ(resumed.at("bytes_up"), straight.at("bytes_up")) << algorithm;
    EXPECT_EQ(std::ranges::count(read_file(out / "metrics.jsonl"), '\n'), 40) << algorithm;
  }
}

TEST(Resume, AnMpiJobGoesOnFromItsCheckpoint) {
  const TemporaryFolder folder;
  const auto straight = run_to_end({kProgram, "simulate"}, kLongRun, folder / "straight");
  const auto out = folder / "killed";
  {
    Process job(mpirun(3) + kLongRun + Words{"--run.out", out.string()}, folder / "log");
    ASSERT_TRUE(wait_for_rounds(job, out, 8)) << job.output();
    job.signal(SIGTERM);
    EXPECT_TRUE(job.wait(kLimit).has_value());
  }
  const auto resumed = run_to_end(mpirun(3) + Words{"--run.resume"}, kLongRun, out);
  EXPECT_EQ(resumed.at("model_sha256"), straight.at("model_sha256"));
}

TEST(Signals, SigintEndsARunCleanlyWithItsResults) {
  const TemporaryFolder folder;
  const auto out = folder / "run";
  Process run(
      Words{kProgram, "simulate"} + kLongRun + Words{"--run.out", out.string(), "--run.rounds", "100000"},
      folder / "log");
  ASSERT_TRUE(wait_for_rounds(run, out, 2)) << run.output();
  run.signal(SIGINT);
  const auto summary = finish(run, out);
  EXPECT_EQ(summary.at("stopped_by"), "signal");
  EXPECT_TRUE(std::filesystem::exists(out / "model.pt"));
  EXPECT_FALSE(std::filesystem::is_empty(out / "checkpoint"));
}

// mpirun passes a signal on to its ranks and kills what is left of them a while later.
class SignalledJob : public ::testing::TestWithParam<const char*> {};

TEST_P(SignalledJob, EndsCleanlyWithItsResults) {
  const TemporaryFolder folder;
  const auto out = folder / "run";
  Process job(mpirun(3) + kLongRun + Words{"--run.out", out.string(), "--run.rounds", "100000"},
              folder / "log", {{"OMPI_MCA_odls_base_sigkill_timeout", "10"}});
  ASSERT_TRUE(wait_for_rounds(job, out, 2)) << job.output();
  if (std::string(GetParam()) == "Mpirun") {
    job.signal(SIGTERM);
    EXPECT_TRUE(job.wait(kLimit).has_value()) << job.output();
  } else {
    const JobRank first(job, 0);
    ASSERT_TRUE(first.found());
    first.signal(SIGTERM);
    EXPECT_EQ(job.wait(kLimit), 0) << job.output();
  }
  const std::string summary = read_file(out / "summary.json");
  ASSERT_FALSE(summary.empty()) << job.output();
  EXPECT_EQ(nlohmann::json::parse(summary).at("stopped_by"), "signal");
  EXPECT_TRUE(std::filesystem::exists(out / "model.pt"));
  EXPECT_FALSE(std::filesystem::is_empty(out / "checkpoint"));
}

INSTANTIATE_TEST_SUITE_P(Signals, SignalledJob, ::testing::Values("Mpirun", "RankZero"),
                         [](const auto& one) { return one.param; });

class OverZmq : public ::testing::Test {
 protected:
  std::unique_ptr<Process> server(const Words& keys, const std::string& name = "server") {
    return std::make_unique<Process>(
        Words{kProgram, "server"} + keys +
            Words{"--server.listen", address_, "--run.out", (folder_ / "run").string()},
        folder_ / (name + ".log"));
  }
  std::unique_ptr<Process> client(const Words& keys, int id) {
    return std::make_unique<Process>(
        Words{kProgram, "client"} + keys +
            Words{"--server.connect", address_, "--client.id", std::to_string(id)},
        folder_ / ("client" + std::to_string(id) + ".log"));
  }
  std::vector<std::unique_ptr<Process>> clients(const Words& keys, int count) {
    std::vector<std::unique_ptr<Process>> fleet;
    for (int id = 0; id < count; ++id) fleet.push_back(client(keys, id));
    return fleet;
  }

  TemporaryFolder folder_;
  int port_ = free_port();
  std::string address_ = "tcp://127.0.0.1:" + std::to_string(port_);
};

// A cohort of two and one backup: the rounds end without the one that hangs.
TEST_F(OverZmq, ABackupWorkerStandsInForAClientThatHangs) {
  const Words keys = kLongRun + Words{"--data.clients",        "3", "--cohort.fraction",         "0.67",
                                      "--sync.backup_workers", "1", "--server.client_timeout_s", "600"};
  const auto serving = server(keys);
  auto fleet = clients(keys, 3);
  ASSERT_TRUE(wait_for_rounds(*serving, folder_ / "run", 3)) << serving->output();
  fleet[2]->signal(SIGSTOP);
  const auto summary = finish(*serving, folder_ / "run");
  EXPECT_EQ(summary.at("rounds"), 40);
  for (const RoundMetrics& round : read_metrics(folder_ / "run" / "metrics.jsonl")) {
    EXPECT_EQ(round.clients, 2);
    EXPECT_EQ(round.dropped, 1);
    EXPECT_EQ(round.rejected, 0) << "late work is dropped, not refused";
  }
  for (const int id : {0, 1}) EXPECT_EQ(fleet[static_cast<std::size_t>(id)]->wait(kLimit), 0);
}

// How many updates each client's sender took in, as a verbose run says at its end.
std::map<int, int> updates_of(const std::string& said) {
  std::map<int, int> updates;
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);) {
    int client = 0, count = 0;
    const auto at = line.find("client ");  // behind what a terminal was shown
    if (at != std::string::npos &&
        std::sscanf(line.c_str() + at, "client %d: %d updates", &client, &count) == 2)
      updates[client] = count;
  }
  return updates;
}

const Words kAsynchronousElastic{"--data.clients",
                                 "4",
                                 "--algorithm.name",
                                 "easgd",
                                 "--sync.mode",
                                 "async",
                                 "--client.local_steps",
                                 "20",
                                 "--model.name",
                                 "mlp",
                                 "--run.rounds",
                                 "400",
                                 "--run.eval_every",
                                 "400",
                                 "-v"};

void expect_everybody_took_part(const std::string& said) {
  int total = 0;
  const std::map<int, int> updates = updates_of(said);
  for (const auto& [client, count] : updates) total += count;
  for (int client = 0; client < 4; ++client) EXPECT_TRUE(updates.contains(client)) << client << '\n' << said;
  EXPECT_GE(total, 400);
}

TEST(AsynchronousElastic, EveryClientTakesPartUnderMpi) {
  for (const char* coordinator_trains : {"true", "false"}) {
    const TemporaryFolder folder;
    Process job(
        mpirun(3) + kAsynchronousElastic +
            Words{"--run.out", (folder / "run").string(), "--train.coordinator_trains", coordinator_trains},
        folder / "log");
    EXPECT_EQ(finish(job, folder / "run").at("rounds"), 400);
    expect_everybody_took_part(job.output());
  }
}

TEST_F(OverZmq, EveryClientTakesPartInAsynchronousElasticAveraging) {
  const auto serving = server(kAsynchronousElastic);
  const auto fleet = clients(kAsynchronousElastic, 4);
  EXPECT_EQ(finish(*serving, folder_ / "run").at("rounds"), 400);
  for (const auto& client : fleet) EXPECT_EQ(client->wait(kLimit), 0) << client->output();
  expect_everybody_took_part(serving->output());
}

// Clients that are in the middle of a round without end learn that the run is over.
TEST_F(OverZmq, TheEndReachesClientsThatTrain) {
  const Words keys{
      "--data.clients", "2", "--cohort.fraction", "1", "--model.name", "mlp", "--client.local_steps",
      "100000000",      "-q"};
  const auto serving = server(keys + Words{"-v", "-v", "-v"});
  auto fleet = clients(keys, 2);
  while (std::ranges::count(serving->output(), '\n') < 3) {  // where it listens, and two clients
    ASSERT_FALSE(serving->wait(std::chrono::milliseconds(2))) << serving->output();
  }
  serving->signal(SIGTERM);
  EXPECT_EQ(finish(*serving, folder_ / "run").at("stopped_by"), "signal");
  for (const auto& client : fleet) EXPECT_EQ(client->wait(kLimit), 0) << client->output();
}

TEST_F(OverZmq, TooFewClientsEndTheRunAndAreNamed) {
  const Words keys = kLongRun + Words{"--cohort.min_size", "2", "--run.rounds", "100000"};
  const Words two{"--data.clients", "2"};
  const auto serving = server(keys + two);
  auto fleet = clients(keys + two, 2);
  ASSERT_TRUE(wait_for_rounds(*serving, folder_ / "run", 2)) << serving->output();
  fleet[1]->signal(SIGKILL);
  finish(*serving, folder_ / "run", 3);
  EXPECT_THAT(serving->output(), HasSubstr("client 1"));
}

TEST_F(OverZmq, AKilledServerIsResumedAndItsClientsComeBack) {
  const auto straight = run_to_end({kProgram, "simulate"}, kLongRun, folder_ / "straight");
  auto serving = server(kLongRun);
  const auto fleet = clients(kLongRun, 4);
  ASSERT_TRUE(wait_for_rounds(*serving, folder_ / "run", 8)) << serving->output();
  serving->signal(SIGKILL);
  EXPECT_EQ(serving->wait(kLimit), 128 + SIGKILL);
  serving = server(kLongRun + Words{"--run.resume"}, "server2");
  const auto summary = finish(*serving, folder_ / "run");
  EXPECT_EQ(summary.at("model_sha256"), straight.at("model_sha256"));
  for (const auto& one : fleet) EXPECT_EQ(one->wait(kLimit), 0) << one->output();
}

TEST_F(OverZmq, AnotherConfigurationIsRefused) {
  const auto serving = server(kLongRun);
  const auto stranger = client(kLongRun + Words{"--client.lr", "0.2"}, 0);
  EXPECT_EQ(stranger->wait(kLimit), 2);
  EXPECT_THAT(stranger->output(), HasSubstr("configuration differs"));
}

TEST_F(OverZmq, TheServerGivesIdsToThoseWhoHaveNone) {
  const Words keys{"--data.clients", "3", "--cohort.fraction", "1", "--run.rounds", "2", "--model.name",
                   "logistic",       "-q"};
  const auto simulated = run_to_end({kProgram, "simulate"}, keys, folder_ / "simulated");
  const auto serving = server(keys);
  std::vector<std::unique_ptr<Process>> fleet;
  for (int i = 0; i < 3; ++i) {
    fleet.push_back(
        std::make_unique<Process>(Words{kProgram, "client"} + keys + Words{"--server.connect", address_},
                                  folder_ / ("anybody" + std::to_string(i) + ".log")));
  }
  EXPECT_EQ(finish(*serving, folder_ / "run").at("model_sha256"), simulated.at("model_sha256"));
}

// What we say we sent is what the kernel carried.
TEST_F(OverZmq, BytesAreTheKernelsBytesWithinOnePercent) {
  const auto serving = server(kLongRun);
  const auto fleet = clients(kLongRun, 4);
  TcpCounters largest;
  while (!serving->wait(std::chrono::milliseconds(1))) {
    const TcpCounters now = read_tcp_counters(static_cast<std::uint16_t>(port_));
    if (now.bytes_sent + now.bytes_received > largest.bytes_sent + largest.bytes_received) largest = now;
  }
  const auto summary = finish(*serving, folder_ / "run");
  const double ours = summary.at("bytes_up").get<double>() + summary.at("bytes_down").get<double>();
  const double control = summary.at("bytes_control").get<double>();
  const auto kernel = static_cast<double>(largest.bytes_sent + largest.bytes_received);
  EXPECT_NEAR(kernel, ours + control, 0.01 * ours);
}

}  // namespace
}  // namespace gossamer::testing
