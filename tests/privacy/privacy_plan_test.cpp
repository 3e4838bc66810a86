// The [privacy] section: what it refuses, and the noise that it chooses.
#include "privacy/privacy_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.h"
#include "tests/privacy/private_options.h"

namespace gossamer::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::uint64_t kRounds = 40;

std::string settled(Options options) {
  try {
    settle_privacy(options, kRounds);
  } catch (const ConfigError& e) {
    return e.what();
  }
  return "accepted";
}

// Refused where it is set, or once all are.
std::string answer(const Given& given) {
  try {
    return settled(options_of(given));
  } catch (const ConfigError& e) {
    return e.what();
  }
}

Given with(Given given, const std::string& key, const std::string& value) {
  given[key] = value;
  return given;
}

Given without(Given given, const std::string& key) {
  given.erase(key);
  return given;
}

const Given& of_clients() {
  static const Given given{{"privacy.mechanism", "gaussian"},
                           {"privacy.placement", "client"},
                           {"privacy.clip_norm", "1"},
                           {"privacy.noise_multiplier", "2"}};
  return given;
}
Given of_examples() {
  return with(with(of_clients(), "privacy.placement", "example"), "privacy.sampling_rate", "0.1");
}
Given central() { return with(of_clients(), "privacy.placement", "central"); }

void expect_one_line(const std::string& text, const std::string& begin, const std::string& part) {
  EXPECT_THAT(text, StartsWith(begin));
  EXPECT_THAT(text, HasSubstr(part));
  EXPECT_THAT(text, Not(HasSubstr("\n")));
}

TEST(PrivacySection, TakesWhatIsWhole) {
  EXPECT_EQ(answer({}), "accepted");
  for (const Given& given : {of_clients(), of_examples(), central()}) EXPECT_EQ(answer(given), "accepted");
  EXPECT_EQ(answer(with(of_clients(), "privacy.mechanism", "laplace")), "accepted");
}

TEST(PrivacySection, RefusesWhatIsMissing) {
  expect_one_line(answer(without(of_clients(), "privacy.placement")), "privacy.placement is missing",
                  "expected example, client or central");
  expect_one_line(answer(without(of_clients(), "privacy.clip_norm")), "privacy.clip_norm is missing",
                  "expected a number above 0");
  expect_one_line(answer(without(of_clients(), "privacy.noise_multiplier")),
                  "privacy.noise_multiplier is missing", "privacy.target_epsilon");
}

TEST(PrivacySection, RefusesValuesWithoutAMeaning) {
  const auto of = [](const std::string& key, const std::string& value) {
    return answer(with(of_clients(), "privacy." + key, value));
  };
  for (const char* value : {"0", "-1", "nan", "-inf"})
    expect_one_line(of("target_epsilon", value), std::string("privacy.target_epsilon = ") + value, "above 0");
  for (const char* value : {"-1", "nan"})
    expect_one_line(of("clip_norm", value), std::string("privacy.clip_norm = ") + value, "at least 0");
  expect_one_line(of("clip_norm", "0"), "privacy.clip_norm = 0", "expected a number above 0");
  for (const char* value : {"0", "0.6", "1", "-1e-5", "nan"})
    expect_one_line(of("delta", value), std::string("privacy.delta = ") + value, "above 0 and at most 0.5");
  for (const char* value : {"-2", "nan", "inf"})
    expect_one_line(of("noise_multiplier", value), std::string("privacy.noise_multiplier = ") + value,
                    "expected a number of at least");
  // So little that no accountant counts it would be found out after the first release.
  for (const char* value : {"-0.5", "5e-04"})
    expect_one_line(of("noise_multiplier", value), std::string("privacy.noise_multiplier = ") + value,
                    "expected at least 0.001, or 0");
  expect_one_line(of("placement", "server"), "privacy.placement = server", "example");
}

TEST(PrivacySection, RefusesAnInfiniteNormWithNoise) {
  expect_one_line(answer(with(of_clients(), "privacy.clip_norm", "inf")), "privacy.clip_norm = inf", "noise");
  EXPECT_EQ(answer(with(with(of_clients(), "privacy.clip_norm", "inf"), "privacy.noise_multiplier", "0")),
            "accepted");
}

TEST(PrivacySection, RefusesKeysWithoutAMechanism) {
  const Given values{{"placement", "client"}, {"clipping", "per_layer"}, {"clip_norm", "1"},
                     {"delta", "0.001"},      {"noise_multiplier", "1"}, {"target_epsilon", "8"},
                     {"accountant", "pld"},   {"sampling_rate", "0.1"},  {"insecure_seed", "1"},
                     {"weight_cap", "1"},     {"total_weight", "1"}};
  for (const auto& [key, value] : values)
    expect_one_line(answer({{"privacy." + key, value}}), "privacy." + key + " = " + value,
                    "here privacy.mechanism = none");
}

TEST(PrivacySection, RefusesKeysOfAnotherPlacement) {
  for (const char* key : {"privacy.weight_cap", "privacy.total_weight"}) {
    EXPECT_EQ(answer(with(central(), key, "5")), "accepted");
    for (const Given& given : {of_clients(), of_examples()})
      expect_one_line(answer(with(given, key, "5")), std::string(key) + " = 5",
                      "privacy.placement = central");
  }
  for (const Given& given : {of_clients(), central()})
    expect_one_line(answer(with(given, "privacy.sampling_rate", "0.1")), "privacy.sampling_rate = 0.1",
                    "privacy.placement = example");
}

TEST(PrivacySection, RefusesLaplaceNoiseForAnotherNorm) {
  EXPECT_EQ(answer(with(of_clients(), "privacy.mechanism", "selective")), "accepted");
  expect_one_line(answer(with(central(), "privacy.mechanism", "selective")), "privacy.mechanism = selective",
                  "privacy.placement = client");
  expect_one_line(
      answer(with(with(of_clients(), "privacy.mechanism", "selective"), "privacy.clipping", "per_layer")),
      "privacy.clipping = per_layer", "each value");
  expect_one_line(answer(with(of_examples(), "privacy.mechanism", "laplace")), "privacy.mechanism = laplace",
                  "gaussian");
  expect_one_line(
      answer(with(with(of_clients(), "privacy.mechanism", "laplace"), "privacy.clipping", "per_layer")),
      "privacy.clipping = per_layer", "flat");
}

TEST(PrivacySection, RefusesCohortsThatNobodyIsIn) {
  const Given nobody = with(with(central(), "cohort.sampler", "poisson"), "cohort.fraction", "0");
  expect_one_line(answer(nobody), "cohort.fraction = 0", "above 0");
  EXPECT_EQ(answer(with(nobody, "cohort.size", "2")), "accepted");
}

TEST(PrivacySection, RefusesNoiseThatDoesNotLastForARound) {
  for (const char* noise : {"0", "0.01"}) {
    Given given = with(with(of_clients(), "privacy.target_epsilon", "1"), "privacy.noise_multiplier", noise);
    expect_one_line(answer(given), "privacy.target_epsilon = 1: not even one round",
                    std::string("privacy.noise_multiplier = ") + noise);
  }
}

double epsilon_of_plan(const Options& options, double noise) {
  PrivacyPlan plan = privacy_plan(options);
  PrivacyEvent event = plan.event();
  event.noise_multiplier = noise;
  event.steps *= kRounds;
  const auto accountant = accountants().make(options);
  accountant->add(event);
  return accountant->epsilon(plan.delta);
}

TEST(PrivacySection, ChoosesTheLeastNoiseForTheTarget) {
  const Given poisson = with(with(central(), "cohort.sampler", "poisson"), "cohort.fraction", "0.1");
  for (const Given& given :
       {of_clients(), of_examples(), central(), poisson, with(of_clients(), "privacy.mechanism", "laplace"),
        with(of_clients(), "privacy.accountant", "pld")}) {
    for (const char* target : {"0.5", "2", "8"}) {
      Options options =
          options_of(without(with(given, "privacy.target_epsilon", target), "privacy.noise_multiplier"));
      settle_privacy(options, kRounds);
      const double noise = privacy_plan(options).noise_multiplier, epsilon = std::stod(target);
      EXPECT_LE(epsilon_of_plan(options, noise), epsilon);
      EXPECT_GT(epsilon_of_plan(options, 0.99 * noise), epsilon);
      EXPECT_EQ(settled(options), "accepted");  // as from the file that a run leaves
    }
  }
}

TEST(PrivacySection, NoiseThatIsGivenStays) {
  Options options = options_of(with(of_clients(), "privacy.target_epsilon", "20"));
  settle_privacy(options, kRounds);
  EXPECT_EQ(privacy_plan(options).noise_multiplier, 2);
  EXPECT_EQ(privacy_plan(options).target_epsilon, 20);
}

TEST(PrivacyPlan, CountsStepsAndRates) {
  Given given = with(of_examples(), "privacy.sampling_rate", "0.3");
  EXPECT_EQ(privacy_plan(options_of(with(given, "client.local_steps", "7"))).steps, 7U);
  given["client.local_steps"] = "0";
  EXPECT_EQ(privacy_plan(options_of(with(given, "client.local_epochs", "5"))).steps, 20U);
  EXPECT_EQ(privacy_plan(options_of(given)).event().sampling_rate, 0.3);

  const Given some = with(with(central(), "cohort.fraction", "0.25"), "data.clients", "20");
  EXPECT_EQ(privacy_plan(options_of(with(some, "cohort.sampler", "poisson"))).event().sampling_rate, 0.25);
  EXPECT_EQ(privacy_plan(options_of(some)).event().sampling_rate,
            1);  // whose size is known amplifies nothing
  EXPECT_EQ(privacy_plan(options_of(with(with(some, "cohort.size", "99"), "cohort.sampler", "poisson")))
                .event()
                .sampling_rate,
            1);
}

TEST(PrivacyPlan, AReplacedUpdateMovesASumByTwiceTheNorm) {
  EXPECT_EQ(privacy_plan(options_of(of_clients())).sensitivity(), 2);
  EXPECT_EQ(privacy_plan(options_of(of_examples())).sensitivity(), 1);
  EXPECT_EQ(privacy_plan(options_of(central())).sensitivity(), 1);
}

TEST(PrivacyPlan, WeighsExamplesUpToTheCap) {
  const PrivacyPlan plan = privacy_plan(options_of(with(central(), "privacy.weight_cap", "8")));
  EXPECT_EQ(plan.weight_of(2), 0.25);
  EXPECT_EQ(plan.weight_of(8), 1);
  EXPECT_EQ(plan.weight_of(1e9), 1);
  EXPECT_EQ(privacy_plan(options_of(central())).weight_of(2), 1);
}

}  // namespace
}  // namespace gossamer::testing
