// What a simulation holds in memory. In a whole run of the program: minutes, not for every change.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <sstream>

#include "integration/runs.h"

namespace gossamer::testing {
namespace {

std::vector<double> resident_mb(const std::filesystem::path& out) {
  std::istringstream lines(read_file(out / "metrics.jsonl"));
  std::vector<double> rounds;
  for (std::string line; std::getline(lines, line);) {
    rounds.push_back(nlohmann::json::parse(line).at("rss_mb").get<double>());
  }
  return rounds;
}

TEST(Memory, IsFlatOverHundredsOfRounds) {
  const TemporaryFolder folder;
  run_to_end({kProgram, "simulate"},
             {"--model.name", "mlp", "--run.rounds", "300", "--run.threads", "2",
              "--data.digits.samples_per_client", "30", "-q"},
             folder / "run");
  const std::vector<double> rounds = resident_mb(folder / "run");
  ASSERT_EQ(rounds.size(), 300U);
  const auto [least, most] = std::ranges::minmax(std::span(rounds).subspan(19));
  EXPECT_LE(most, 1.02 * least) << "after round 20: " << least << " to " << most << " MB";
}

// One CNN update is 6.65 MB; 96 more of them would be 640 MB.
TEST(Memory, DoesNotHoldACohortsUpdatesTogether) {
  const TemporaryFolder folder;
  const auto peak = [&](const std::string& cohort) {
    return run_to_end({kProgram, "simulate"},
                      {"--model.name", "cnn", "--run.rounds", "2", "--run.threads", "2", "--cohort.size",
                       cohort, "--data.digits.samples_per_client", "10", "-q"},
                      folder / cohort)
        .at("peak_rss_mb")
        .get<double>();
  };
  const double few = peak("4");
  EXPECT_LT(peak("100"), few + 10 * 6.65);
}

}  // namespace
}  // namespace gossamer::testing
