// Nothing that left a clipper is longer than the clip norm, whatever went in, nor says what noise does not
// hide.
#include "privacy/clip.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "privacy/clipper.h"
#include "tests/privacy/private_options.h"

namespace gossamer::testing {
namespace {

constexpr double kRounding = 1e-6;  // that a norm may be above its bound, of itself
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

double norm_of(NoiseKind noise, std::span<const float> values) {
  return noise == NoiseKind::laplace ? l1(values) : l2(values);
}

Update update_of(FloatBuffer values, double examples = 1) {
  Update update;
  update.info.client = 3;
  update.info.round = 7;
  update.info.sequence = 5;
  update.info.weight = examples;
  update.info.train_loss = 0.25;
  update.info.samples = 600;
  update.info.tau = std::make_shared<const TauReport>();
  update.values = std::move(values);
  return update;
}

FloatBuffer clipped(const Given& given, const ParameterLayout& layout, FloatBuffer values,
                    double examples = 1) {
  return make_clipper(private_options(given), layout)->clip(update_of(std::move(values), examples)).values;
}

TEST(ClipTo, LeavesNoVectorAboveTheBound) {
  for (const NoiseKind noise : {NoiseKind::gaussian, NoiseKind::laplace}) {
    for (const double bound : {1e-20, 0.3, 1.0, 5e7}) {
      for (std::size_t n : {1U, 7U, 100U, 20'000U}) {
        for (const double size : {1e-3, 0.999999, 1.0, 1.000001, 30.0, 1e12}) {
          FloatBuffer values = normal_values(n, n);
          const double unit = norm_of(noise, values);
          for (float& value : values)
            value = static_cast<float>(static_cast<double>(value) / unit * bound * size);
          const FloatBuffer before = values;
          const double norm = norm_of(noise, values);
          EXPECT_NEAR(clip_to(noise, bound, values), norm, 1e-12 * norm);
          EXPECT_LE(norm_of(noise, values), bound);
          EXPECT_GE(norm_of(noise, values), std::min(norm, bound) * (1 - kRounding));
          if (norm <= bound) {
            EXPECT_EQ(values, before);
          }
        }
      }
    }
  }
}

TEST(ClipTo, KeepsTheDirection) {
  FloatBuffer values = normal_values(1000, 1, 10);
  const FloatBuffer before = values;
  clip_to(NoiseKind::gaussian, 2, values);
  const double factor = 2 / l2(before);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(static_cast<double>(values[i]), factor * static_cast<double>(before[i]), 1e-6);
}

TEST(ClipTo, MakesWhatIsNotFiniteZero) {
  for (const NoiseKind noise : {NoiseKind::gaussian, NoiseKind::laplace}) {
    for (const float bad : {kNan, kInfinity, -kInfinity}) {
      for (const double bound : {1.0, std::numeric_limits<double>::infinity()}) {
        FloatBuffer values = normal_values(50, 1);
        values[17] = bad;
        EXPECT_FALSE(std::isfinite(clip_to(noise, bound, values)));
        EXPECT_EQ(values, FloatBuffer(50, 0.0F));
      }
    }
  }
}

TEST(ClipTo, TakesTheLargestFloats) {
  FloatBuffer values(1000, std::numeric_limits<float>::max());
  clip_to(NoiseKind::gaussian, 1, values);
  EXPECT_LE(l2(values), 1);
  EXPECT_GT(l2(values), 1 - kRounding);
}

TEST(LayerEnds, AWeightAndItsBiasAreOneLayer) {
  const ParameterLayout layout({{"a.weight", {2, 3}, 0, 6, TensorRole::parameter},
                                {"a.bias", {2}, 0, 2, TensorRole::parameter},
                                {"b.0.weight", {4}, 0, 4, TensorRole::parameter},
                                {"b.1.weight", {5}, 0, 5, TensorRole::parameter},
                                {"b.1.running_mean", {9}, 0, 9, TensorRole::buffer}});
  EXPECT_EQ(layer_ends(layout), (std::vector<std::size_t>{8, 12, 17}));
}

TEST(FlatClipper, BoundsTheParametersAndDropsTheBuffers) {
  const ParameterLayout layout = layout_of({60, 40}, 10);
  for (const char* mechanism : {"gaussian", "laplace"}) {
    const FloatBuffer values = clipped({{"privacy.mechanism", mechanism}, {"privacy.clip_norm", "0.5"}},
                                       layout, normal_values(110, 1));
    const double norm =
        norm_of(mechanism == std::string("laplace") ? NoiseKind::laplace : NoiseKind::gaussian,
                std::span(values).first(100));
    EXPECT_LE(norm, 0.5);
    EXPECT_GT(norm, 0.5 * (1 - kRounding));
    for (std::size_t i = 100; i < 110; ++i) EXPECT_EQ(values[i], 0);
  }
}

TEST(FlatClipper, BuffersDoNotCountForTheNorm) {
  FloatBuffer values(12, 0.0F);
  values[0] = 0.5F;
  values[11] = 1e6F;
  EXPECT_EQ(clipped({}, layout_of({10}, 2), values)[0], 0.5F);
  values[11] = kNan;
  EXPECT_EQ(clipped({}, layout_of({10}, 2), values)[0], 0.5F);
}

TEST(PerLayerClipper, GivesEachLayerItsShareAndTogetherNoMoreThanTheNorm) {
  const ParameterLayout layout = layout_of({10, 300, 1, 2000}, 5);
  const double share = 3.0 / 2;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    FloatBuffer values = normal_values(2316, seed, 0.2);
    values[310] = 0.25F;
    const double first = l2(std::span(values).first(10));
    values = clipped({{"privacy.clipping", "per_layer"}, {"privacy.clip_norm", "3"}}, layout, values);
    const std::span<const float> all = values;
    EXPECT_LE(l2(all), 3);
    EXPECT_NEAR(l2(all.first(10)), std::min(first, share), kRounding);
    EXPECT_NEAR(l2(all.subspan(10, 300)), share, share * kRounding);
    EXPECT_EQ(all[310], 0.25F);
    EXPECT_NEAR(l2(all.subspan(311, 2000)), share, share * kRounding);
  }
}

TEST(PerLayerClipper, ALayerThatIsNotFiniteLeavesTheOthers) {
  FloatBuffer values(20, 0.1F);
  values[3] = kInfinity;
  values = clipped({{"privacy.clipping", "per_layer"}}, layout_of({10, 10}, 0), values);
  EXPECT_EQ(l2(std::span(values).first(10)), 0);
  EXPECT_EQ(values[15], 0.1F);
}

TEST(Clippers, ScaleDownUpdatesOfFewExamples) {
  for (const char* clipping : {"flat", "per_layer"}) {
    const Given given{
        {"privacy.placement", "central"}, {"privacy.clipping", clipping}, {"privacy.weight_cap", "100"}};
    const ParameterLayout layout = layout_of({50, 50}, 0);
    const FloatBuffer whole = clipped(given, layout, normal_values(100, 2), 1e6);
    EXPECT_EQ(clipped(given, layout, normal_values(100, 2), 100), whole);
    const FloatBuffer quarter = clipped(given, layout, normal_values(100, 2), 25);
    for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(quarter[i], whole[i] / 4);
    EXPECT_LE(l2(whole), 1);
    EXPECT_EQ(l2(clipped(given, layout, normal_values(100, 2), 0)), 0);
  }
}

TEST(AdaptiveClipper, ClipsToTheRoundsNormAndSaysWhetherItHadTo) {
  const auto clipper =
      make_clipper(private_options({{"privacy.placement", "central"}, {"privacy.clipping", "adaptive"}}),
                   layout_of({4}, 3));
  for (const double bad : {0.0, -1.0, static_cast<double>(kNan), static_cast<double>(kInfinity)})
    EXPECT_FALSE(clipper->takes(bad)) << bad;
  EXPECT_TRUE(clipper->takes(1e-9));
  for (const auto& [told, length, within] :
       {std::tuple{1.0, 1.0, 1.0}, std::tuple{0.5, 0.5, 0.0}, std::tuple{7.0, 1.0, 1.0}}) {
    const ClippedUpdate left = clipper->clip(update_of({.5F, .5F, .5F, .5F, 8, 9, 9}), told);
    EXPECT_NEAR(l2(left.values), length, 1e-6) << told;
    ASSERT_NE(left.info.clip, nullptr);
    EXPECT_EQ(left.info.clip->within, within) << told;
    EXPECT_EQ(left.info.samples, 0);
  }
  EXPECT_EQ(clipper->clip(update_of({kNan, 0, 0, 0, 0, 0, 0}), 1).info.clip->within, 0);
}

TEST(Clippers, TakeNoNormFromAServerUnlessTheyAdapt) {
  for (const Given& given : {Given{}, Given{{"privacy.clipping", "per_layer"}}}) {
    const auto clipper = make_clipper(private_options(given), layout_of({4}, 3));
    EXPECT_TRUE(clipper->takes(0));
    EXPECT_FALSE(clipper->takes(5));
  }
}

TEST(Clippers, LetNothingOutBesidesTheParameters) {
  const ParameterLayout layout = layout_of({4}, 3);
  const Given examples{{"privacy.placement", "example"}, {"privacy.sampling_rate", "0.1"}};
  for (const Given& given : {Given{}, Given{{"privacy.placement", "central"}}, examples,
                             Given{{"privacy.clipping", "per_layer"}}}) {
    const ClippedUpdate left =
        make_clipper(private_options(given), layout)->clip(update_of({.1F, .1F, .1F, .1F, 8, 9, kNan}, 600));
    EXPECT_EQ(left.values, (FloatBuffer{.1F, .1F, .1F, .1F, 0, 0, 0}));
    EXPECT_EQ(left.info.weight, 1);
    EXPECT_EQ(left.info.train_loss, 0);
    EXPECT_EQ(left.info.samples, 0);
    EXPECT_EQ(left.info.tau, nullptr);
    EXPECT_EQ(left.info.client, 3);
    EXPECT_EQ(left.info.round, 7);
    EXPECT_EQ(left.info.sequence, 5U);
  }
}

TEST(Clippers, WithoutPrivacyAnUpdatePassesAsItIs) {
  const FloatBuffer values = normal_values(7, 1, 100);
  const ClippedUpdate left = make_clipper(options_of({}), layout_of({4}, 3))->clip(update_of(values, 600));
  EXPECT_EQ(left.values, values);
  EXPECT_EQ(left.info.weight, 600);
  EXPECT_EQ(left.info.train_loss, 0.25);
  EXPECT_EQ(left.info.samples, 600);
}

}  // namespace
}  // namespace gossamer::testing
