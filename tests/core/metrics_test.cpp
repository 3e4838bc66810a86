#include "core/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/error.h"
#include "tests/core/temporary_folder.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

RoundMetrics round_metrics(Round round, std::optional<double> accuracy = std::nullopt) {
  RoundMetrics m;
  m.round = round;
  m.time_s = 1.5 * static_cast<double>(round);
  m.wall_s = 0.1 * static_cast<double>(round);
  m.test_accuracy = accuracy;
  if (accuracy) m.test_loss = 1 - *accuracy;
  m.train_loss = 1.0 / static_cast<double>(round);
  m.clients = 10;
  m.bytes_up = 1000;
  m.bytes_down = 2000;
  m.bytes_control = 30;
  m.samples = 600;
  return m;
}

TEST(RoundMetrics, AreOneLineWithTheKeysInOrder) {
  RoundMetrics m = round_metrics(2, 0.5);
  m.dropped = 1;
  m.rejected = 2;
  m.staleness_mean = 0.25;
  m.staleness_max = 3;
  m.rss_mb = 120.5;
  m.compression = "one_bit";
  EXPECT_EQ(
      to_json(m),
      R"({"round":2,"time_s":3.0,"wall_s":0.2,"test_accuracy":0.5,"test_loss":0.5,"train_loss":0.5,)"
      R"("clients":10,"dropped":1,"rejected":2,"bytes_up":1000,"bytes_down":2000,"bytes_control":30,)"
      R"("staleness_mean":0.25,"staleness_max":3,"epsilon":null,"reclipped":null,"clip_norm":null,"samples":600,"consensus_distance":null,)"
      R"("clock":"virtual",)"
      R"("rss_mb":120.5,"compression":"one_bit"})");
  EXPECT_EQ(round_from_json(to_json(m)), m);
}

TEST(RoundMetrics, WhatIsNotFiniteIsNull) {
  RoundMetrics m = round_metrics(1, 0.1);
  m.train_loss = std::numeric_limits<double>::infinity();
  m.test_loss = std::nan("");
  EXPECT_THAT(to_json(m), HasSubstr(R"("test_loss":null,"train_loss":null)"));
  const RoundMetrics read = round_from_json(to_json(m));
  EXPECT_TRUE(std::isnan(read.train_loss));
  EXPECT_FALSE(read.test_loss.has_value());
}

TEST(RoundMetrics, AreReadWithoutTheKeysOfLaterVersions) {
  const RoundMetrics m = round_metrics(2, 0.5);
  std::string line = to_json(m);
  const std::string_view later = ",\"rss_mb\":null,\"compression\":null";
  line.erase(line.find(later), later.size());
  EXPECT_EQ(round_from_json(line), m);
}

TEST(ResidentMemory, GrowsWithWhatIsTouchedAndStaysBelowThePeak) {
  const std::optional<double> before = resident_mb();
  ASSERT_TRUE(before.has_value());
  const std::vector<char> touched(64'000'000, 1);
  const std::optional<double> after = resident_mb();
  ASSERT_TRUE(after.has_value());
  EXPECT_GT(*after, *before + 60);
  EXPECT_LE(*after, peak_rss_mb() + 1);
  EXPECT_EQ(touched.back(), 1);
}

TEST(RoundMetrics, RubbishIsRefused) {
  for (const char* text :
       {"", "[]", "{}", "{\"round\":\"x\"}", "{\"round\":1", "{\"round\":1,\"clients\":[]}"}) {
    EXPECT_THROW(round_from_json(text), FileError) << text;
  }
}

TEST(RunSummary, AReasonNeedNotBeUtf8) {
  RunSummary summary;
  summary.stopped_by = "cannot write \xFF.bin";
  EXPECT_EQ(summary_from_json(to_json(summary)).stopped_by, "cannot write \xEF\xBF\xBD.bin");
}

TEST(ReadMetrics, LeavesATornLastLineOutAndNamesACorruptOne) {
  const TemporaryFolder folder;
  const std::string first = to_json(round_metrics(1)) + "\n";
  write_atomically(folder / "m", first + to_json(round_metrics(2)).substr(0, 40));
  EXPECT_EQ(read_metrics(folder / "m").size(), 1U);
  write_atomically(folder / "m", first + "{broken\n" + first);
  EXPECT_THAT(message_of<FileError>([&] { read_metrics(folder / "m"); }),
              StartsWith((folder / "m").string() + ":2: not a round's metrics"));
}

class Recorder : public ::testing::Test {
 protected:
  std::optional<double> rounds_to(double target, const std::vector<std::optional<double>>& accuracies) {
    RunRecorder recorder(folder_ / "m", target);
    for (std::size_t i = 0; i < accuracies.size(); ++i) {
      recorder.add(round_metrics(static_cast<Round>(i + 1), accuracies[i]));
    }
    const auto rounds = recorder.summary("", "").rounds_to_target;
    EXPECT_EQ(recorder.target_reached(), rounds.has_value());
    return rounds;
  }
  TemporaryFolder folder_;
};

TEST_F(Recorder, RoundsToTargetIsInterpolatedOnTheBestSoFar) {
  EXPECT_EQ(rounds_to(0.9, {0.5, 0.6}), std::nullopt);
  EXPECT_DOUBLE_EQ(*rounds_to(0.9, {0.95}), 1);
  EXPECT_DOUBLE_EQ(*rounds_to(0.75, {0.5, 1.0}), 1.5);
  EXPECT_DOUBLE_EQ(*rounds_to(0.75, {0.5, 0.75, 0.2}), 2);
  // The dip of round 2 does not count: from 0.5 (best so far, round 2) to 0.8 (round 3).
  EXPECT_DOUBLE_EQ(*rounds_to(0.65, {0.5, 0.4, 0.8}), 2.5);
  // Rounds without an evaluation lie between: from round 1 to round 5.
  EXPECT_DOUBLE_EQ(*rounds_to(0.75, {0.5, std::nullopt, std::nullopt, std::nullopt, 1.0}), 3);
}

TEST_F(Recorder, SummaryAddsUp) {
  RunRecorder recorder(folder_ / "m", std::nullopt);
  recorder.add(round_metrics(1, 0.7));
  recorder.add(round_metrics(2, 0.9));
  RoundMetrics last = round_metrics(3, 0.8);
  last.epsilon = 1.25;
  last.compression = "int8";
  recorder.add(last);
  const RunSummary summary = recorder.summary("abc", "rounds");
  EXPECT_EQ(summary.rounds, 3);
  EXPECT_EQ(summary.final_test_accuracy, 0.8);
  EXPECT_EQ(summary.best_test_accuracy, 0.9);
  EXPECT_EQ(summary.rounds_to_target, std::nullopt);
  EXPECT_EQ(summary.bytes_up, 3000U);
  EXPECT_EQ(summary.bytes_down, 6000U);
  EXPECT_EQ(summary.bytes_control, 90U);
  EXPECT_DOUBLE_EQ(summary.time_s, 4.5);
  EXPECT_DOUBLE_EQ(summary.samples_per_s, 1800 / summary.wall_s);
  EXPECT_EQ(summary.epsilon, 1.25);
  EXPECT_EQ(summary.compression, "int8") << "that of the last round";
  EXPECT_GT(summary.peak_rss_mb, 1);
  EXPECT_EQ(summary_from_json(to_json(summary)), summary);
  EXPECT_THAT(to_json(summary), StartsWith("{\n  \"rounds\": 3,\n  \"final_test_accuracy\": 0.8,\n"));
  EXPECT_EQ(read_metrics(folder_ / "m").size(), 3U);
}

TEST_F(Recorder, AResumedRunEndsLikeAnUninterruptedOne) {
  const auto accuracy = [](Round round) { return 1 - 0.5 / static_cast<double>(round); };
  RunRecorder whole(folder_ / "whole", 0.93);
  RunRecorder before(folder_ / "m", 0.93);
  for (Round round = 1; round <= 10; ++round) whole.add(round_metrics(round, accuracy(round)));
  for (Round round = 1; round <= 4; ++round) before.add(round_metrics(round, accuracy(round)));
  const std::string state = before.state();
  // These two rounds are lost with the process, and the second one's line is torn.
  before.add(round_metrics(5, 0.0));
  AppendFile(folder_ / "m", AppendFile::Start::at_end).append(R"({"round":6,"time)");

  RunRecorder after = RunRecorder::resume(folder_ / "m", 0.93, state);
  EXPECT_EQ(after.last_round(), 4);
  EXPECT_DOUBLE_EQ(after.wall_s(), 0.4);
  for (Round round = 5; round <= 10; ++round) after.add(round_metrics(round, accuracy(round)));
  EXPECT_EQ(read_text(folder_ / "m"), read_text(folder_ / "whole"));
  RunSummary expected = whole.summary("", "");
  RunSummary got = after.summary("", "");
  got.peak_rss_mb = expected.peak_rss_mb;
  EXPECT_EQ(got, expected);
  EXPECT_TRUE(got.rounds_to_target.has_value());
}

TEST_F(Recorder, AResumedRunMayHaveAnotherTarget) {
  RunRecorder before(folder_ / "m", std::nullopt);
  before.add(round_metrics(1, 0.5));
  before.add(round_metrics(2, 1.0));
  EXPECT_EQ(RunRecorder::resume(folder_ / "m", 0.75, before.state()).summary("", "").rounds_to_target, 1.5);
}

TEST_F(Recorder, AResumedRunSurvivesTheLossOfItsMetrics) {
  RunRecorder before(folder_ / "m", 0.75);
  before.add(round_metrics(1, 0.5));
  before.add(round_metrics(2, 1.0));
  const RunRecorder after = RunRecorder::resume(folder_ / "another", 0.75, before.state());
  EXPECT_EQ(after.summary("", "").rounds_to_target, 1.5);
  EXPECT_EQ(after.summary("", "").bytes_up, 2000U);
}

TEST_F(Recorder, AStateThatIsNoneIsRefused) {
  EXPECT_THROW(RunRecorder::resume(folder_ / "m", 0.5, "{}"), FileError);
  EXPECT_THROW(RunRecorder::resume(folder_ / "m", 0.5, "x"), FileError);
}

TEST_F(Recorder, AFullDiskEndsTheRun) {
  RunRecorder recorder(folder_ / "m", std::nullopt);
  std::string reason;
  {
    const FullDisk disk(100);
    reason = message_of<RunError>([&] { recorder.add(round_metrics(1)); });
  }
  EXPECT_EQ(reason, "cannot write " + (folder_ / "m").string() + ": File too large");
}

}  // namespace
}  // namespace gossamer
