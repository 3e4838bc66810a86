#include "server/lap_counts.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "core/rng.h"

namespace gossamer {
namespace {

TEST(LapCounts, KnowTheSlowestOfWorkersThatComeGoAndGoOn) {
  LapCounts laps;
  std::map<Round, int> expected;
  std::vector<Round> clocks;
  const auto count = [&](Round clock, int change) {
    laps.count(clock, change);
    if ((expected[clock] += change) == 0) expected.erase(clock);
  };
  Rng rng(1, Purpose::test);
  for (int step = 0; step < 20'000; ++step) {
    const std::uint64_t what = rng.below(10);
    if (clocks.empty() || (what == 0 && clocks.size() < 20)) {
      clocks.push_back(static_cast<Round>(rng.below(50)));  // behind the others, or ahead
      count(clocks.back(), +1);
    } else {
      const std::size_t who = rng.below(clocks.size());
      count(clocks[who], -1);
      if (what == 1) {
        clocks.erase(clocks.begin() + static_cast<std::ptrdiff_t>(who));
      } else {
        count(++clocks[who], +1);
      }
    }
    ASSERT_EQ(laps.empty(), expected.empty());
    if (!expected.empty()) {
      ASSERT_EQ(laps.first(), expected.begin()->first);
    }
  }
}

}  // namespace
}  // namespace gossamer
