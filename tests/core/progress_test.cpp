#include "core/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace gossamer {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

RoundMetrics round_metrics(Round round, double wall_s, std::optional<double> accuracy) {
  RoundMetrics m;
  m.round = round;
  m.wall_s = wall_s;
  m.test_accuracy = accuracy;
  if (accuracy) m.test_loss = 0.25;
  m.train_loss = 0.5;
  m.clients = 10;
  m.bytes_up = 1000000;
  m.bytes_down = 500000;
  m.samples = 600;
  return m;
}

TEST(Progress, OnePlainLineARound) {
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::lines, 4);
  progress.inside_round(1, 3, 10, 1);
  progress.round_done(round_metrics(1, 2, 0.875));
  RoundMetrics second = round_metrics(2, 4, std::nullopt);
  second.dropped = 1;
  second.rejected = 2;
  second.epsilon = 1.5;
  progress.round_done(second);
  progress.finish();
  EXPECT_EQ(
      out.str(),
      "round 1/4  accuracy 87.50%  loss 0.2500  train loss 0.5000  10 clients  1.50 MB  300 samples/s  6.0 s "
      "left\n"
      "round 2/4  train loss 0.5000  10 clients (1 dropped) (2 rejected)  3.00 MB  epsilon 1.5  300 samples/s"
      "  4.0 s left\n");
}

TEST(Progress, TrafficBetweenPeersIsWhatTheySent) {
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::lines, 1);
  progress.between_peers();
  progress.round_done(round_metrics(1, 2, 0.875));
  progress.finish();
  EXPECT_THAT(out.str(), ::testing::HasSubstr("  1.00 MB  "));
}

TEST(Progress, QuietSaysNothing) {
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::quiet, 4);
  progress.round_done(round_metrics(1, 2, 0.5));
  progress.finish();
  EXPECT_EQ(out.str(), "");
}

TEST(Progress, LiveRefreshesOneLineAndLeavesTheLast) {
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::live, 2, 200);
  progress.inside_round(1, 3, 10, 1);
  progress.round_done(round_metrics(1, 2, 0.5));
  progress.inside_round(2, 4, 10, 3);
  progress.round_done(round_metrics(2, 4, std::nullopt));
  progress.finish();
  EXPECT_THAT(out.str(), HasSubstr("\rround 1/2 (3 of 10)\x1b[K"));
  // The newest evaluation stays on the line.
  EXPECT_THAT(out.str(), HasSubstr("\rround 2/2 (4 of 10)  accuracy 50.00%"));
  EXPECT_THAT(out.str(), HasSubstr("\rround 2/2  accuracy 50.00%"));
  EXPECT_TRUE(out.str().ends_with("\x1b[K\n"));
  EXPECT_EQ(std::ranges::count(out.str(), '\n'), 1);
}

TEST(Progress, LiveDrawsAtMostTenTimesASecondButAlwaysTheLastRound) {
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::live, 1000, 200);
  for (int round = 1; round <= 1000; ++round) progress.round_done(round_metrics(round, round * 0.001, 0.5));
  EXPECT_LE(std::ranges::count(out.str(), '\r'), 12);
  EXPECT_THAT(out.str(), HasSubstr("round 1000/1000"));
}

TEST(Progress, LiveFitsTheTerminal) {
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::live, 4, 20);
  progress.round_done(round_metrics(1, 2, 0.875));
  EXPECT_EQ(out.str(), "\rround 1/4  accuracy\x1b[K");
}

TEST(Progress, TimeLeftOfAResumedRunCountsThisProcessOnly) {
  std::ostringstream out;
  ProgressPrinter progress(out, ProgressStyle::lines, 20);
  progress.start_at(10, 1000);
  progress.round_done(round_metrics(11, 1002, std::nullopt));
  EXPECT_THAT(out.str(), HasSubstr("300 samples/s  18 s left"));
}

TEST(Progress, NumbersAreReadable) {
  EXPECT_EQ(readable_bytes(0), "0 B");
  EXPECT_EQ(readable_bytes(999), "999 B");
  EXPECT_EQ(readable_bytes(999600), "1.00 MB");
  EXPECT_EQ(readable_bytes(1234567), "1.23 MB");
  EXPECT_EQ(readable_bytes(23.456e9), "23.5 GB");
  EXPECT_EQ(readable_bytes(456.7e12), "457 TB");
  EXPECT_EQ(readable_seconds(3.21), "3.2 s");
  EXPECT_EQ(readable_seconds(59.7), "1 min 00 s");
  EXPECT_EQ(readable_seconds(65), "1 min 05 s");
  EXPECT_EQ(readable_seconds(3725), "1 h 02 min");
}

}  // namespace
}  // namespace gossamer
