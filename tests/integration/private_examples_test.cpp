// privacy.placement = example, as a user runs it.
#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include "integration/fleet.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;

const Words kPrivate{"--data.clients",
                     "4",
                     "--cohort.fraction",
                     "1",
                     "--model.name",
                     "mlp",
                     "--run.seed",
                     "5",
                     "--client.batch_size",
                     "40",
                     "--privacy.mechanism",
                     "gaussian",
                     "--privacy.placement",
                     "example",
                     "--privacy.clip_norm",
                     "1",
                     "--privacy.noise_multiplier",
                     "0.8",
                     "-q"};
const Words kSeeded{"--privacy.insecure_seed", "3"};

Outcome simulated(const Words& keys, const std::filesystem::path& out) {
  return outcome_of(run_to_end({kProgram, "simulate"}, kPrivate + keys, out));
}

TEST(PrivateExamples, OneSeedIsOneModelInAllPlaces) {
  const TemporaryFolder folder;
  const Words keys = kSeeded + Words{"--run.rounds", "3"};
  const Outcome one = simulated(keys + Words{"--run.threads", "1"}, folder / "one");
  EXPECT_EQ(simulated(keys + Words{"--run.threads", "2"}, folder / "two"), one);
  EXPECT_EQ(outcome_of(run_to_end(mpirun(3), kPrivate + keys, folder / "mpi")), one);
  Fleet fleet(kPrivate + keys, folder);
  EXPECT_EQ(outcome_of(fleet.finish()), one);
  fleet.expect_others_end(0);
  // It is the noise and the lots that repeat.
  EXPECT_NE(simulated({"--run.rounds", "3", "--privacy.insecure_seed", "4"}, folder / "other").sha, one.sha);
  EXPECT_NE(simulated({"--run.rounds", "3"}, folder / "secret").sha, one.sha);
}

std::vector<double> epsilons(const std::filesystem::path& out) {
  std::vector<double> values;
  std::istringstream lines(read_file(out / "metrics.jsonl"));
  for (std::string line; std::getline(lines, line);)
    values.push_back(nlohmann::json::parse(line).at("epsilon").get<double>());
  return values;
}

TEST(PrivateExamples, AResumedRunGoesOnAndHasSpentWhatItHadSpent) {
  const TemporaryFolder folder;
  const Words keys = kSeeded + Words{"--run.rounds", "30", "--server.checkpoint_every", "3"};
  const Outcome straight = simulated(keys, folder / "straight");
  const std::vector<double> expected = epsilons(folder / "straight");
  ASSERT_EQ(expected.size(), 30U);
  EXPECT_GT(expected.front(), 0);
  EXPECT_TRUE(std::ranges::is_sorted(expected));
  EXPECT_LT(expected[10], expected[29]);
  const auto out = folder / "killed";
  Process run(Words{kProgram, "simulate"} + kPrivate + keys + Words{"--run.out", out.string()},
              folder / "log");
  ASSERT_TRUE(wait_for_rounds(run, out, 11)) << run.output();
  run.signal(SIGKILL);
  EXPECT_EQ(run.wait(kLimit), 128 + SIGKILL);
  const std::vector<double> before = epsilons(out);
  EXPECT_EQ(simulated(keys + Words{"--run.resume"}, out).sha, straight.sha);
  const std::vector<double> after = epsilons(out);
  ASSERT_EQ(after.size(), 30U);
  EXPECT_TRUE(std::ranges::is_sorted(after));
  EXPECT_GE(after.back(), before.back());
  // A round that was asked for before the kill and again after it has been released twice.
  EXPECT_GE(after.back(), expected.back());
}

TEST(PrivateExamples, PrincipalDirectionsAreADataSetWhoseCostIsCounted) {
  const TemporaryFolder folder;
  const auto make = [&](const std::string& noise, const std::string& name, const Words& more = {}) {
    Process pca(Words{kProgram, "pca", "--dimensions", "20", "--noise", noise, "--out",
                      (folder / name).string(), "--privacy.insecure_seed", "2"} +
                    more,
                folder / "log");
    return pca.wait(kLimit);
  };
  ASSERT_EQ(make("8", "noisy"), 0);
  ASSERT_EQ(make("8", "again"), 0);
  ASSERT_EQ(make("0", "plain"), 0);
  EXPECT_EQ(make("8", "divided", {"--data.clients", "2"}), 2);
  EXPECT_EQ(make("-1", "negative"), 2);
  EXPECT_EQ(read_file((folder / "noisy") / "x_train.npy"), read_file(folder / "again" / "x_train.npy"));
  EXPECT_NE(read_file((folder / "noisy") / "x_train.npy"), read_file(folder / "plain" / "x_train.npy"));
  const auto epsilon = [&](const std::string& name, const Words& more = {}) {
    const Words command{kProgram, "simulate", (folder / name / "data.ini").string()};
    const Words keys = kPrivate + kSeeded + Words{"--data.clients", "1", "--run.rounds", "1"} + more;
    return run_to_end(command, keys, folder / ("run-" + name)).at("epsilon").get<double>();
  };
  EXPECT_GT(epsilon("noisy"), epsilon("plain"));
  EXPECT_THAT(read_file(folder / "run-noisy" / "privacy_ledger.jsonl"), HasSubstr("\"setup_noise\":8"));
}

TEST(PrivateExamples, WhatCannotBeIsRefusedInOneLineBeforeAnythingStarts) {
  const TemporaryFolder folder;
  const auto expect_refusal = [&](const Words& keys, const std::string& text) {
    const auto out = folder / "refused";
    Process process(Words{kProgram, "simulate", "--run.out", out.string()} + kPrivate + keys, folder / "log");
    EXPECT_EQ(process.wait(kLimit), 2);
    EXPECT_THAT(process.output(), HasSubstr(text));
    EXPECT_EQ(std::ranges::count(process.output(), '\n'), 1) << process.output();
    EXPECT_FALSE(std::filesystem::exists(out));
  };
  expect_refusal({"--model.name", "resnet18"}, "model.name = resnet18: ");
  expect_refusal({"--client.batch_size", "100000"}, "client.batch_size = 100000: ");
  expect_refusal({"--algorithm.name", "adaptive_tau"}, "sync.local_steps = adaptive");
  expect_refusal({"--topology.name", "ring", "--algorithm.name", "sync_sgd"}, "algorithm.name = sync_sgd");
  expect_refusal({"--privacy.placement", "client", "--privacy.lot_size", "5"}, "privacy.lot_size = 5");
  expect_refusal({"--privacy.mechanism", "laplace"}, "privacy.mechanism = laplace");
}

}  // namespace
}  // namespace gossamer::testing
