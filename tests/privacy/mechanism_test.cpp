// What leaves a client is its clipped update and noise of the size that the accountant is told.
#include "privacy/mechanism.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "privacy/clipper.h"
#include "tests/privacy/private_options.h"

namespace gossamer::testing {
namespace {

constexpr std::int64_t kDrawn = 100'000;

PrivateUpdate private_update(const Given& given, const ParameterLayout& layout, FloatBuffer values,
                             ClientId client = 0, Round round = 1) {
  const Options options = private_options(given);
  Update update;
  update.info.client = client;
  update.info.round = round;
  update.values = std::move(values);
  return make_mechanism(options, layout)->privatize(make_clipper(options, layout)->clip(std::move(update)));
}

FloatBuffer zero_values(const ParameterLayout& layout) { return FloatBuffer(layout.size(), 0.0F); }

TEST(GaussianMechanism, HasTheMultiplierTimesTwiceTheNormAsDeviation) {
  const ParameterLayout layout = layout_of({kDrawn}, 0);
  for (const auto& [norm, noise] : {std::pair{"0.5", "3"}, {"4", "0.7"}}) {
    const FloatBuffer values =
        private_update({{"privacy.clip_norm", norm}, {"privacy.noise_multiplier", noise}}, layout,
                       zero_values(layout))
            .values;
    const double expected = std::stod(noise) * 2 * std::stod(norm);
    EXPECT_NEAR(l2(values) / std::sqrt(kDrawn), expected, 0.01 * expected);
  }
}

TEST(LaplaceMechanism, HasTheMultiplierTimesTwiceTheNormAsScale) {
  const ParameterLayout layout = layout_of({kDrawn}, 0);
  const FloatBuffer values =
      private_update(
          {{"privacy.mechanism", "laplace"}, {"privacy.clip_norm", "0.5"}, {"privacy.noise_multiplier", "3"}},
          layout, zero_values(layout))
          .values;
  EXPECT_NEAR(l1(values) / kDrawn, 3, 0.03);                              // E |x| is the scale
  EXPECT_NEAR(l2(values) / std::sqrt(kDrawn), 3 * std::sqrt(2.0), 0.06);  // and no Gaussian has both
}

// An update on another device.
class FarFloats final : public DeviceFloats {
 public:
  explicit FarFloats(FloatBuffer values) : values_(std::move(values)) {}
  std::size_t size() const noexcept override { return values_.size(); }
  const float* address() const noexcept override { return nullptr; }
  void read(std::size_t begin, std::span<float> out) const override {
    std::ranges::copy(std::span(values_).subspan(begin, out.size()), out.begin());
  }

 private:
  FloatBuffer values_;
};

PrivateUpdate private_update_from_afar(const Given& given, const ParameterLayout& layout,
                                       FloatBuffer values) {
  const Options options = private_options(given);
  Update update;
  update.info.round = 1;
  update.on_device = std::make_shared<FarFloats>(std::move(values));
  return make_mechanism(options, layout)->privatize(make_clipper(options, layout)->clip(std::move(update)));
}

TEST(Mechanisms, BringWhatIsOnADeviceHereToClipItAndAddNoise) {
  const ParameterLayout layout = layout_of({1000}, 0);
  const FloatBuffer values(1000, 2.0F);
  for (const char* const placement : {"client", "central"}) {
    const Given given{{"privacy.placement", placement}, {"privacy.clip_norm", "0.5"}};
    const PrivateUpdate near = private_update(given, layout, values),
                        far = private_update_from_afar(given, layout, values);
    EXPECT_EQ(far.on_device, nullptr);
    EXPECT_EQ(far.values, near.values) << placement;
    EXPECT_NE(far.values, values);
  }
}

TEST(Mechanisms, WithoutPrivacyWhatIsOnADeviceStaysThere) {
  const ParameterLayout layout = layout_of({1000}, 0);
  const PrivateUpdate far =
      private_update_from_afar({{"privacy.mechanism", "none"}}, layout, FloatBuffer(1000, 2.0F));
  ASSERT_NE(far.on_device, nullptr);
  EXPECT_TRUE(far.values.empty());
}

const Given kSelective{{"privacy.mechanism", "selective"}, {"privacy.noise_multiplier", "0"}};

Given selective(const char* noise, const char* fraction, const char* rule) {
  Given given = kSelective;
  given["privacy.noise_multiplier"] = noise;
  given["privacy.selective.fraction"] = fraction;
  given["privacy.selective.rule"] = rule;
  return given;
}

std::int64_t sent(std::span<const float> values) {
  return std::ssize(values) - std::ranges::count(values, 0.0F);
}

TEST(SelectiveMechanism, WithoutNoiseSendsTheLargestBoundedOneByOne) {
  const ParameterLayout layout = layout_of({6}, 2);
  const FloatBuffer update{.1F, -3, .2F, .9F, -.3F, 0, 7, 7};
  EXPECT_EQ(private_update(selective("0", "0.5", "largest"), layout, update).values,
            (FloatBuffer{0, -1, 0, .9F, -.3F, 0, 0, 0}));
  EXPECT_EQ(private_update(selective("0", "1", "largest"), layout, update).values,
            (FloatBuffer{.1F, -1, .2F, .9F, -.3F, 0, 0, 0}));
  Given given = selective("0", "0.5", "threshold");
  given["privacy.selective.threshold"] = "0.25";
  EXPECT_EQ(private_update(given, layout, update).values, (FloatBuffer{0, -1, 0, .9F, -.3F, 0, 0, 0}));
  given["privacy.selective.threshold"] = "0.95";
  EXPECT_EQ(private_update(given, layout, update).values, (FloatBuffer{0, -1, 0, 0, 0, 0, 0, 0}));
}

TEST(SelectiveMechanism, LeavesNoMoreThanItsFraction) {
  const ParameterLayout layout = layout_of({10'000}, 0);
  for (const char* rule : {"largest", "threshold"}) {
    const FloatBuffer values =
        private_update(selective("0.1", "0.03", rule), layout, normal_values(10'000, 3)).values;
    EXPECT_LE(sent(values), 300) << rule;
    EXPECT_GT(sent(values), 250) << rule;
  }
}

// c values of sensitivity 2 C each, for what the choice leaves of 1 / z.
TEST(SelectiveMechanism, HasTheNoiseOfItsShareOfTheBudget) {
  const ParameterLayout layout = layout_of({kDrawn}, 0);
  for (const auto& [fraction, share, budget] :
       {std::tuple{"0.5", "0.25", 0.75}, std::tuple{"0.5", "0.9", 0.1}, std::tuple{"1", "0.5", 1.0}}) {
    Given given = selective("3", fraction, "largest");
    given["privacy.clip_norm"] = "0.5";
    given["privacy.selective.share"] = share;
    const FloatBuffer values = private_update(given, layout, zero_values(layout)).values;
    const auto count = static_cast<double>(sent(values));
    EXPECT_EQ(count, std::stod(fraction) * kDrawn);
    const double scale = 2 * 0.5 * count * 3 / budget;
    EXPECT_NEAR(l1(values) / count, scale, 0.015 * scale) << share;
  }
}

// How often a value that stands out is chosen, between certainty and chance.
TEST(SelectiveMechanism, ChoosesUnderNoise) {
  const ParameterLayout layout = layout_of({20}, 0);
  FloatBuffer update(20, 0.0F);
  update[4] = 1;
  for (const char* rule : {"largest", "threshold"}) {
    const auto share_of_the_largest = [&](const char* noise) {
      Given given = selective(noise, "0.05", rule);
      given["privacy.selective.threshold"] = "0.5";
      int chosen = 0;
      for (Round round = 0; round < 400; ++round)
        chosen += private_update(given, layout, update, 0, round).values[4] != 0 ? 1 : 0;
      return chosen / 400.0;
    };
    EXPECT_EQ(share_of_the_largest("0.001"), 1) << rule;
    EXPECT_LT(share_of_the_largest("0.3"), 0.95) << rule;
    EXPECT_GT(share_of_the_largest("0.3"), 0.06) << rule;
    EXPECT_LT(share_of_the_largest("100"), 0.12) << rule;
  }
}

TEST(Mechanisms, AddTheirNoiseToTheClippedUpdate) {
  const ParameterLayout layout = layout_of({1000}, 0);
  for (const char* mechanism : {"gaussian", "laplace"}) {
    const Given given{{"privacy.mechanism", mechanism}, {"privacy.noise_multiplier", "0.001"}};
    FloatBuffer values = zero_values(layout);
    values[500] = 80;  // clipped to 1
    const FloatBuffer noise = private_update(given, layout, zero_values(layout)).values;
    const FloatBuffer sum = private_update(given, layout, values).values;
    for (std::size_t i = 0; i < sum.size(); ++i)
      EXPECT_NEAR(static_cast<double>(sum[i] - noise[i]), i == 500 ? 1 : 0, 1e-6);
  }
}

TEST(Mechanisms, AddNothingToBuffers) {
  const ParameterLayout layout = layout_of({100}, 50);
  for (const char* mechanism : {"gaussian", "laplace"}) {
    const FloatBuffer values =
        private_update({{"privacy.mechanism", mechanism}}, layout, zero_values(layout)).values;
    EXPECT_EQ(std::ranges::count(std::span(values).first(100), 0.0F), 0);
    EXPECT_EQ(std::ranges::count(std::span(values).last(50), 0.0F), 50);
  }
}

TEST(Mechanisms, DrawAnewForEachClientAndRound) {
  const ParameterLayout layout = layout_of({100}, 0);
  const auto noise = [&](ClientId client, Round round) {
    return private_update({}, layout, zero_values(layout), client, round).values;
  };
  EXPECT_EQ(noise(1, 1), noise(1, 1));  // from a seed that is known
  EXPECT_NE(noise(1, 1), noise(2, 1));
  EXPECT_NE(noise(1, 1), noise(1, 2));
  const Given secret{{"privacy.insecure_seed", "-1"}};
  EXPECT_NE(private_update(secret, layout, zero_values(layout)).values,
            private_update(secret, layout, zero_values(layout)).values);
}

// The server, or the training itself, adds it there.
TEST(Mechanisms, AddNothingOnTheJourneyOfOtherPlacements) {
  const ParameterLayout layout = layout_of({100}, 0);
  for (const Given& given : {Given{{"privacy.placement", "central"}},
                             Given{{"privacy.placement", "example"}, {"privacy.sampling_rate", "0.1"}}})
    EXPECT_EQ(private_update(given, layout, zero_values(layout)).values, zero_values(layout));
}

}  // namespace
}  // namespace gossamer::testing
