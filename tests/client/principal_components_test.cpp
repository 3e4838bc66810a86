#include "client/principal_components.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "core/rng.h"
#include "tests/client/trainers/support.h"

namespace gossamer {
namespace {

std::shared_ptr<const ExampleSet> examples_of(std::int64_t width, std::vector<float> features) {
  const auto count = static_cast<std::size_t>(static_cast<std::int64_t>(features.size()) / width);
  return std::make_shared<testing::MemorySet>(ExampleShape{FeatureKind::reals, {width}, 1, 10},
                                              std::move(features), std::vector<std::int64_t>(count, 3));
}

// Large along (1, 1, 0) / sqrt(2), small along (0, 0, 1), nothing else.
std::shared_ptr<const ExampleSet> flat_ones() {
  Rng rng(4, Purpose::test);
  std::vector<float> features;
  for (int i = 0; i < 2500; ++i) {
    const float a = 1 + rng.uniform_float(), b = rng.uniform_float() - 0.5F;
    features.insert(features.end(), {a, a, b});
  }
  return examples_of(3, features);
}

TEST(PrincipalComponents, WithoutNoiseAreThoseOfTheScaledExamples) {
  const auto source = make_insecure_noise_source(1);
  const auto examples = flat_ones();
  const at::Tensor moments = noisy_second_moments(*examples, 0, *source);
  EXPECT_NEAR(moments.trace().item<double>(), 2500, 1e-6);  // each of length 1
  const at::Tensor directions = principal_directions(moments, 2);
  const at::Tensor expected = at::tensor({std::sqrt(0.5), std::sqrt(0.5), 0.0, 0.0, 0.0, 1.0}).view({2, 3});
  EXPECT_LT((directions - expected.to(at::kDouble)).abs().max().item<double>(), 0.02);
  EXPECT_LT((directions.mm(directions.t()) - at::eye(2, at::kDouble)).abs().max().item<double>(), 1e-12);
  const std::vector<float> values = along(directions, *examples);
  ASSERT_EQ(values.size(), 5000U);
  std::vector<std::int64_t> first{0};
  std::vector<float> x(3);
  std::int64_t label = 0;
  examples->gather(first, x.data(), &label);
  EXPECT_NEAR(std::hypot(values[0], values[1]), std::hypot(x[0], x[1], x[2]),
              1e-5);  // they lie in that plane
  EXPECT_EQ(labels_of(*examples), std::vector<std::int32_t>(2500, 3));
}

TEST(PrincipalComponents, OneExampleMovesWhatIsReleasedByOneAtMost) {
  const auto source = make_insecure_noise_source(1);
  const at::Tensor with = noisy_second_moments(*examples_of(4, {1, 2, 3, 4, 90, -80, 70, 60}), 0, *source);
  const at::Tensor without = noisy_second_moments(*examples_of(4, {1, 2, 3, 4}), 0, *source);
  const double moved = (with - without).triu().norm().item<double>();
  EXPECT_LE(moved, 1);
  EXPECT_GT(moved, 0.7);
  const at::Tensor nothing = noisy_second_moments(*examples_of(4, {0, 0, 0, 0}), 0, *source);
  EXPECT_EQ(nothing.norm().item<double>(), 0);
}

TEST(PrincipalComponents, NoiseIsSymmetricAndHasItsDeviation) {
  constexpr std::int64_t kWidth = 500;
  const auto source = make_insecure_noise_source(1);
  const auto nothing = examples_of(kWidth, std::vector<float>(kWidth, 0.0F));
  const at::Tensor moments = noisy_second_moments(*nothing, 7, *source);
  EXPECT_TRUE(moments.equal(moments.t()));
  const at::Tensor draws = moments.masked_select(at::ones({kWidth, kWidth}, at::kBool).triu());
  ASSERT_EQ(draws.numel(), kWidth * (kWidth + 1) / 2);
  EXPECT_NEAR(draws.square().mean().sqrt().item<double>(), 7, 0.01 * 7);
  EXPECT_NEAR(draws.mean().item<double>(), 0, 5 * 7 / std::sqrt(static_cast<double>(draws.numel())));
  EXPECT_FALSE(moments.equal(noisy_second_moments(*nothing, 7, *source)));
}

}  // namespace
}  // namespace gossamer
