// What has waited, divided by how long.
#include <gtest/gtest.h>

#include "compression/methods.h"
#include "core/error.h"
#include "tests/compression/messages.h"

namespace gossamer {
namespace {

TEST(AdaComp, DividesByTheMessagesThatAValueHasWaited) {
  Stream stream({{"compression.up", "adacomp"}, {"compression.adacomp.density", "0.25"}}, 4);
  EXPECT_EQ(stream.send({1, 2, 8, 0}), (FloatBuffer{0, 0, 8, 0}));
  EXPECT_EQ(stream.send({1, 2, 8, 0}), (FloatBuffer{0, 0, 8, 0}));  // sent in the one before: 1
  EXPECT_EQ(stream.send({1, 6, 8, 0}), (FloatBuffer{0, 10 / 3.0F, 0, 0}));
  EXPECT_EQ(stream.send({1, 2, 0, 0}), (FloatBuffer{0, 0, 4, 0}));  // 8, two messages after its last
  EXPECT_EQ(stream.send({16, 2, 0, 0}), (FloatBuffer{4, 0, 0, 0}));
  // What waits, when each was last sent, and how many messages there were.
  EXPECT_EQ(stream.state(), (FloatBuffer{0, 4, 0, 0, 5, 3, 4, 0, 5}));
}

TEST(AdaComp, OfASteadyGradientSendsItsMean) {
  // Whatever is sent has added up as many times as it is divided by.
  Stream stream({{"compression.up", "adacomp"}, {"compression.adacomp.density", "0.1"}}, 500);
  FloatBuffer g(500);
  for (std::size_t i = 0; i < g.size(); ++i) g[i] = static_cast<float>(1 + i % 7);
  std::size_t sent = 0;
  for (int message = 0; message < 60; ++message) {
    const FloatBuffer got = stream.send(g);
    for (std::size_t i = 0; i < g.size(); ++i) ASSERT_TRUE(got[i] == 0 || got[i] == g[i]);
    sent += non_zeros(got);
  }
  EXPECT_EQ(sent, 60 * 50U);
}

TEST(AdaComp, WithoutStalenessIsTopKWithErrorFeedback) {
  Stream one({{"compression.up", "adacomp"},
              {"compression.adacomp.density", "0.02"},
              {"compression.adacomp.staleness", "false"}},
             3000);
  Stream other({{"compression.up", "top_k"}, {"compression.top_k.density", "0.02"}}, 3000);
  for (std::uint64_t step = 0; step < 30; ++step) {
    const FloatBuffer g = normal_floats(3000, step);
    ASSERT_EQ(one.send(g), other.send(g)) << step;
    ASSERT_EQ(one.bytes(), other.bytes());
  }
}

TEST(AdaComp, IsRefusedWithoutItsMemory) {
  const auto options = options_with({{"compression.up", "adacomp"}, {"compression.error_feedback", "off"}});
  EXPECT_THROW(static_cast<void>(keeps_state(options)), ConfigError);
}

}  // namespace
}  // namespace gossamer
