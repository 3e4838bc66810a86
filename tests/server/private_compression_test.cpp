// privacy.placement = central with every compressor: what enters the sum is never longer than the clip norm,
// by which the accountant's noise is measured, however much longer the compressor made it.
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "compression/choice.h"
#include "privacy/clip.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"
#include "privacy/private_sum.h"
#include "server_schema.h"

namespace gossamer {
namespace {

constexpr std::size_t kUpdateFloats = 10'000;
constexpr double kBound = 1;

struct Norms {
  double received = 0, summed = 0;  // the longest
  std::int64_t reclipped = 0;
};

// Twenty rounds of a client whose updates point where they like and are three times too long.
Norms norms_with(const std::string& method) {
  const Options options = server_options({{"compression.up", method},
                                          {"privacy.mechanism", "gaussian"},
                                          {"privacy.placement", "central"},
                                          {"privacy.clip_norm", "1"},
                                          {"privacy.noise_multiplier", "1"}});
  const ParameterLayout layout({{"layer.weight", {100, 99}, 0, 9'900, TensorRole::parameter},
                                {"layer.bias", {100}, 0, 100, TensorRole::parameter}});
  const ShardPlan plan(layout, 1);
  const auto compressors = one_a_shard(up_compressors(), options, plan);
  const auto clipper = make_clipper(options, layout);
  const auto mechanism = make_mechanism(options, layout);
  PrivateSum sum(privacy_plan(options), kUpdateFloats);
  FloatBuffer state(compressors.front()->state_floats());
  std::ranges::fill(state, 0.0F);
  FloatBuffer decoded(kUpdateFloats);
  Norms norms;
  for (Round round = 1; round <= 20; ++round) {
    Rng rng(3, Purpose::test, 0, static_cast<std::uint64_t>(round));
    Update update{{{}, FloatBuffer(kUpdateFloats)}};
    update.info.round = round;
    for (float& value : update.values) value = static_cast<float>(0.03 * kBound * rng.normal());
    PrivateUpdate leaving = mechanism->privatize(clipper->clip(std::move(update)));
    EXPECT_LE(norm_for(NoiseKind::gaussian, leaving.values), kBound) << method;
    const CompressedUpdate sent = compress(compressors, plan, std::move(leaving), state, rng);
    EXPECT_TRUE(compressors.front()->decompress(sent.content, decoded)) << method;
    norms.received = std::max(norms.received, norm_for(NoiseKind::gaussian, decoded));
    sum.begin();
    norms.reclipped += sum.add(decoded) ? 1 : 0;
    norms.summed = std::max(norms.summed, sum.longest());
  }
  return norms;
}

TEST(PrivateCompression, NothingLongerThanTheClipNormEntersTheSum) {
  int longer = 0;
  for (const std::string& method : up_compressors().names()) {
    if (method == "auto") continue;  // refused with privacy.placement = central
    const Norms norms = norms_with(method);
    EXPECT_LE(norms.summed, kBound) << method;
    EXPECT_EQ(norms.received > kBound * (1 + 1e-6), norms.reclipped > 0) << method;
    longer += norms.received > kBound * (1 + 1e-6) ? 1 : 0;
    RecordProperty(method, std::to_string(norms.received));
  }
  EXPECT_GE(longer, 5);  // otherwise this test shows nothing
}

}  // namespace
}  // namespace gossamer
