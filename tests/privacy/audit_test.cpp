// What the accountants claim against what a membership game shows of the real components, and whether the
// same checks find faults that are built in on purpose. All random numbers come from seeds.
#include "tests/privacy/audit.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "privacy/accountants/search.h"
#include "privacy/clip.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"
#include "privacy/noise/noise.h"
#include "privacy/private_sum.h"
#include "tests/privacy/make_accountant.h"
#include "tests/privacy/private_options.h"

namespace gossamer::testing {
namespace {

constexpr double kDelta = 1e-5;
constexpr double kNorm = 0.7;
constexpr std::size_t kFloats = 32;
constexpr std::uint64_t kTrials = 50'000;       // of each kind, and each half
constexpr std::uint64_t kFaultTrials = 20'000;  // where more is shown than is claimed

// The most exact claim that there is: the harder to keep to.
double claimed(const PrivacyEvent& event) { return epsilon_by("pld", event, kDelta); }

PrivacyEvent event_for(NoiseKind noise, double rate, std::uint64_t rounds, double epsilon) {
  PrivacyEvent event{noise, 1, rate, rounds};
  event.noise_multiplier =
      noise_multiplier_for([] { return make_accountant("pld"); }, event, kDelta, epsilon);
  return event;
}

FloatBuffer along(std::span<const float> direction, double length) {
  FloatBuffer values(direction.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(length / l2(direction) * static_cast<double>(direction[i]));
  return values;
}

double product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// ---- placement = central

// The mean that a round of these updates releases.
using Release = std::function<FloatBuffer(const std::vector<FloatBuffer>& updates, std::uint64_t round)>;

PrivacyPlan central_of(const PrivacyEvent& event, std::size_t others) {
  PrivacyPlan plan = privacy_plan(private_options({{"privacy.placement", "central"}}));
  plan.noise = event.mechanism;
  plan.clip_norm = kNorm;
  plan.noise_multiplier = event.noise_multiplier;
  plan.sampling_rate = event.sampling_rate;
  plan.denominator = static_cast<double>(others);
  return plan;
}

Release real_release(const PrivacyPlan& plan) {
  return [sum = PrivateSum(plan, kFloats), copy = FloatBuffer()](const std::vector<FloatBuffer>& updates,
                                                                 std::uint64_t round) mutable {
    sum.begin();
    for (const FloatBuffer& update : updates) {
      copy = update;
      sum.add(copy);
    }
    FloatBuffer mean(kFloats);
    sum.finish(mean, round);
    return mean;
  };
}

Release half_the_noise(const PrivacyPlan& plan) {
  PrivacyPlan less = plan;
  less.noise_multiplier /= 2;
  return real_release(less);
}

// Each worker adds what the sum should have once.
Release noise_of_each_worker(const PrivacyPlan& plan) {
  return [plan, release = real_release(plan)](const std::vector<FloatBuffer>& updates, std::uint64_t round) {
    FloatBuffer mean(kFloats, 0.0F);
    for (std::size_t i = 0; i < updates.size(); ++i) {
      const FloatBuffer one = release({updates[i]}, round * 1000 + i);
      std::ranges::transform(mean, one, mean.begin(), std::plus<>{});
    }
    return mean;
  };
}

Release over_who_came(const PrivacyPlan& plan) {
  return [plan, release = real_release(plan)](const std::vector<FloatBuffer>& updates, std::uint64_t round) {
    FloatBuffer mean = release(updates, round);
    const auto factor = static_cast<float>(plan.denominator / static_cast<double>(updates.size()));
    for (float& value : mean) value *= factor;
    return mean;
  };
}

// The second half of an update goes into the sum as it is.
Release a_layer_unclipped(const PrivacyPlan& plan) {
  return [plan, release = real_release(plan)](std::vector<FloatBuffer> updates, std::uint64_t round) {
    std::vector<FloatBuffer> rest;
    for (FloatBuffer& update : updates) {
      rest.push_back(update);
      std::ranges::fill(std::span(update).subspan(kFloats / 2), 0.0F);
    }
    FloatBuffer mean = release(updates, round);
    for (const FloatBuffer& update : rest) {
      for (std::size_t i = kFloats / 2; i < kFloats; ++i)
        mean[i] += static_cast<float>(static_cast<double>(update[i]) / plan.denominator);
    }
    return mean;
  };
}

using MakeRelease = std::function<Release(const PrivacyPlan&)>;

// Everybody points the other way: where the number that a sum is divided by changes, so does what they count.
struct Crowd {
  FloatBuffer canary = along(normal_values(kFloats, 7), 10 * kNorm);  // longer than it may be
  std::vector<FloatBuffer> others{5, along(canary, -kNorm)};
};

// The logarithm of how much likelier these rounds are with the canary, for one who knows all the others.
Game central_game(const PrivacyEvent& event, const MakeRelease& make) {
  const Crowd crowd;
  const PrivacyPlan plan = central_of(event, crowd.others.size());
  std::vector<FloatBuffer> all = crowd.others;
  all.push_back(crowd.canary);
  return [=, release = make(plan)](bool with, std::uint64_t number) {
    Rng rng(11, Purpose::test, number, with ? 1 : 0);
    const double deviation = event.noise_multiplier * kNorm;
    double likelihood = 0;
    for (std::uint64_t t = 0; t < event.steps; ++t) {
      const bool takes_part = with && rng.uniform() < event.sampling_rate;
      const std::uint64_t round = 2 * (number * event.steps + t) + (with ? 1 : 0);
      const double seen = product(release(takes_part ? all : crowd.others, round), crowd.canary) /
                          l2(crowd.canary) * plan.denominator;
      const double moved = seen + kNorm * static_cast<double>(crowd.others.size());
      const double s = (moved * kNorm - kNorm * kNorm / 2) / (deviation * deviation);
      const double q = event.sampling_rate;
      likelihood += q == 1 ? s : std::log(1 - q + q * std::exp(s));
    }
    return likelihood;
  };
}

// How far the canary moves what is released, over what it may.
double sensitivity(const MakeRelease& make) {
  const Crowd crowd;
  const PrivacyPlan plan = central_of({NoiseKind::gaussian, 1, 1, 1}, crowd.others.size());
  std::vector<FloatBuffer> all = crowd.others;
  all.push_back(crowd.canary);
  const FloatBuffer without = make(plan)(crowd.others, 1), with = make(plan)(all, 1);
  FloatBuffer moved(kFloats);
  std::ranges::transform(with, without, moved.begin(), std::minus<>{});
  return l2(moved) * plan.denominator / kNorm;
}

// The deviation of the noise in what is released, over what it should be.
double deviation(const MakeRelease& make) {
  constexpr std::uint64_t kRounds = 4000;
  const Crowd crowd;
  const PrivacyPlan plan = central_of({NoiseKind::gaussian, 1.3, 1, 1}, crowd.others.size());
  PrivacyPlan plain = plan;
  plain.noise_multiplier = 0;
  const FloatBuffer mean = make(plain)(crowd.others, 0);
  const Release release = make(plan);
  double squares = 0;
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    FloatBuffer noise = release(crowd.others, round);
    std::ranges::transform(noise, mean, noise.begin(), std::minus<>{});
    squares += l2(noise) * l2(noise);
  }
  const double found = std::sqrt(squares / static_cast<double>(kRounds * kFloats));
  return found * plan.denominator / (1.3 * kNorm);
}

bool is_close(double ratio) { return std::abs(ratio - 1) < 0.01; }

void report(const char* what, double epsilon, const Evidence& evidence) {
  ::testing::Test::RecordProperty(
      std::string(what) + "_of_" + std::to_string(epsilon),
      std::to_string(evidence.epsilon) + " " + std::to_string(evidence.of_gaussian));
}

TEST(Audit, BoundsOfProbabilitiesAreTheTabled) {
  EXPECT_NEAR(most_probability(0, 10, 0.025), 0.308497, 1e-6);
  EXPECT_NEAR(least_probability(5, 10, 0.025), 0.187086, 1e-6);
  EXPECT_NEAR(most_probability(5, 10, 0.025), 0.812914, 1e-6);
  EXPECT_NEAR(least_probability(90, 100, 0.025), 0.823777, 1e-6);
  EXPECT_EQ(least_probability(0, 10, 0.025), 0);
  EXPECT_EQ(most_probability(10, 10, 0.025), 1);
  EXPECT_NEAR(gaussian_epsilon(1, 1e-5), epsilon_by("pld", {NoiseKind::gaussian, 1, 1, 1}, 1e-5), 2e-3);
}

// A game whose outcome is known: one of two answers, of which the true one comes e^epsilon times as often.
TEST(Audit, ShowsMostOfTheEpsilonOfRandomizedResponse) {
  for (const double epsilon : {0.5, 2.0, 8.0}) {
    const double lie = 1 / (1 + std::exp(epsilon));
    const Evidence evidence = audit(
        [&](bool with, std::uint64_t number) {
          return (Rng(5, Purpose::test, number, with ? 1 : 0).uniform() < lie) == with ? 0.0 : 1.0;
        },
        kTrials, kDelta);
    EXPECT_LE(evidence.epsilon, epsilon);
    EXPECT_GE(evidence.epsilon, 0.85 * epsilon);
  }
}

// What careful runs claim, what most do, and what all but open ones do.
class AuditAt : public ::testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(Epsilons, AuditAt, ::testing::Values(0.5, 2.0, 8.0));

TEST_P(AuditAt, CentralSumKeepsToItsClaim) {
  const double epsilon = GetParam();
  const PrivacyEvent event = event_for(NoiseKind::gaussian, 1, 1, epsilon);
  const Evidence real = audit(central_game(event, real_release), kTrials, kDelta);
  report("central", epsilon, real);
  EXPECT_LE(real.epsilon, claimed(event));
  EXPECT_LE(real.of_gaussian, claimed(event));
  EXPECT_GE(real.epsilon, 0.25 * epsilon);
  EXPECT_GE(real.of_gaussian, 0.7 * epsilon);
}

TEST_P(AuditAt, SampledCentralRoundsKeepToTheirClaim) {
  const double epsilon = GetParam();
  const PrivacyEvent event = event_for(NoiseKind::gaussian, 0.3, 4, epsilon);
  const Evidence real = audit(central_game(event, real_release), kTrials, kDelta);
  report("sampled", epsilon, real);
  EXPECT_LE(real.epsilon, claimed(event));
  EXPECT_GE(real.epsilon, 0.2 * epsilon);
}

TEST_P(AuditAt, FindsFaultsOfTheCentralSum) {
  const std::pair<const char*, MakeRelease> faults[] = {{"half the noise", half_the_noise},
                                                        {"over who came", over_who_came},
                                                        {"a layer unclipped", a_layer_unclipped}};
  const double epsilon = GetParam();
  const PrivacyEvent event = event_for(NoiseKind::gaussian, 1, 1, epsilon);
  for (const auto& [name, fault] : faults)
    EXPECT_GT(audit(central_game(event, fault), kFaultTrials, kDelta).of_gaussian, claimed(event))
        << name << ", epsilon " << epsilon;
}

// Who divides by a number that varies is found without sampling, where the game knows what to look for.
TEST(Audit, FindsFaultsOfSampledCentralRounds) {
  const PrivacyEvent sampled = event_for(NoiseKind::gaussian, 0.3, 4, 2);
  for (const auto fault : {half_the_noise, a_layer_unclipped})
    EXPECT_GT(audit(central_game(sampled, fault), kFaultTrials, kDelta).epsilon, claimed(sampled));
}

TEST(Audit, ACentralReleaseHasTheSensitivityAndTheNoiseOfItsPlan) {
  EXPECT_LE(sensitivity(real_release), 1 + 1e-5);
  EXPECT_GT(sensitivity(over_who_came), 1.5);
  EXPECT_GT(sensitivity(a_layer_unclipped), 1.5);
  EXPECT_TRUE(is_close(deviation(real_release))) << deviation(real_release);
  EXPECT_FALSE(is_close(deviation(half_the_noise)));
  EXPECT_FALSE(is_close(deviation(noise_of_each_worker)));
}

// ---- placement = client

// Clips the first layer, and forgets the others.
class ForgetfulClipper final : public Clipper {
  void bound(Update& update, double) override {
    clip_to(NoiseKind::gaussian, kNorm, std::span(update.values).first(kFloats / 2));
  }
};

struct Journey {
  std::shared_ptr<Clipper> clipper;
  std::shared_ptr<PrivacyMechanism> mechanism;
};

Given client_keys(const PrivacyEvent& event, double noise_factor = 1) {
  return {{"privacy.mechanism", event.mechanism == NoiseKind::laplace ? "laplace" : "gaussian"},
          {"privacy.clip_norm", std::to_string(kNorm)},
          {"privacy.noise_multiplier", std::to_string(noise_factor * event.noise_multiplier)}};
}

ParameterLayout two_layers() { return layout_of({kFloats / 2, kFloats / 2}, 0); }

Journey real_journey(Given given) {
  const Options options = private_options(std::move(given));
  return {make_clipper(options, two_layers()), make_mechanism(options, two_layers())};
}

// Whether a client sent this or its opposite: what counts is in the second layer.
Game client_game(const PrivacyEvent& event, const Journey& journey) {
  const bool laplace = event.mechanism == NoiseKind::laplace;
  FloatBuffer direction(kFloats, 0.0F);
  direction[kFloats - 2] = 1;
  if (!laplace) direction[kFloats - 3] = -2;
  const double scale = event.noise_multiplier * 2 * kNorm;
  return [=](bool with, std::uint64_t number) {
    Update update;
    update.info.round = static_cast<Round>(2 * number + (with ? 1 : 0));
    update.values = along(direction, with ? 10 * kNorm : -10 * kNorm);
    const PrivateUpdate sent = journey.mechanism->privatize(journey.clipper->clip(std::move(update)));
    const double x = product(sent.values, direction) / l2(direction);
    return laplace ? (std::abs(x + kNorm) - std::abs(x - kNorm)) / scale : x;
  };
}

TEST_P(AuditAt, ClientsNoiseKeepsToItsClaim) {
  const double epsilon = GetParam();
  const PrivacyEvent gaussian = event_for(NoiseKind::gaussian, 1, 1, epsilon);
  for (const char* clipping : {"flat", "per_layer"}) {
    Given given = client_keys(gaussian);
    given["privacy.clipping"] = clipping;
    const Evidence real = audit(client_game(gaussian, real_journey(given)), kTrials, kDelta);
    report(clipping, epsilon, real);
    EXPECT_LE(real.epsilon, claimed(gaussian));
    EXPECT_LE(real.of_gaussian, claimed(gaussian));
    // Of two layers the canary is in one, and so shorter by the root of two.
    EXPECT_GE(real.of_gaussian, (clipping == std::string("flat") ? 0.7 : 0.4) * epsilon);
  }
  const PrivacyEvent laplace = event_for(NoiseKind::laplace, 1, 1, epsilon);
  const Evidence real = audit(client_game(laplace, real_journey(client_keys(laplace))), kTrials, kDelta);
  report("laplace", epsilon, real);
  EXPECT_LE(real.epsilon, claimed(laplace));
  EXPECT_GE(real.epsilon, 0.8 * epsilon);  // where the claim is what a single outcome shows
}

TEST_P(AuditAt, FindsFaultsOfClientsNoise) {
  const double epsilon = GetParam();
  const PrivacyEvent gaussian = event_for(NoiseKind::gaussian, 1, 1, epsilon);
  const Journey half = real_journey(client_keys(gaussian, 0.5));
  EXPECT_GT(audit(client_game(gaussian, half), kFaultTrials, kDelta).of_gaussian, claimed(gaussian));
  Journey forgetful = real_journey(client_keys(gaussian));
  forgetful.clipper = std::make_shared<ForgetfulClipper>();
  EXPECT_GT(audit(client_game(gaussian, forgetful), kFaultTrials, kDelta).of_gaussian, claimed(gaussian));
  // Noise for adding or removing an update, where one is replaced, is half of what it takes.
  const PrivacyEvent laplace = event_for(NoiseKind::laplace, 1, 1, epsilon);
  const Journey less = real_journey(client_keys(laplace, 0.5));
  EXPECT_GT(audit(client_game(laplace, less), kTrials, kDelta).epsilon, claimed(laplace));
}

// ---- privacy.mechanism = selective

Given selective_keys(const PrivacyEvent& event, const char* rule) {
  return {{"privacy.mechanism", "selective"},
          {"privacy.clip_norm", std::to_string(kNorm)},
          {"privacy.noise_multiplier", std::to_string(event.noise_multiplier)},
          {"privacy.selective.rule", rule},
          {"privacy.selective.threshold", std::to_string(kNorm / 2)},
          {"privacy.selective.fraction", std::to_string(1.0 / kFloats)}};
}

// Whether a client's one large value, or all others, were large: which one leaves, and with which value.
Game selective_game(const Journey& journey) {
  return [=](bool with, std::uint64_t number) {
    Update update;
    update.info.round = static_cast<Round>(2 * number + (with ? 1 : 0));
    update.values.assign(kFloats, static_cast<float>(with ? 0 : kNorm));
    update.values[0] = static_cast<float>(with ? kNorm : -1e-3 * kNorm);
    const PrivateUpdate sent = journey.mechanism->privatize(journey.clipper->clip(std::move(update)));
    return sent.values[0] != 0 ? 1e6 + static_cast<double>(sent.values[0]) : 0;
  };
}

TEST_P(AuditAt, SelectionKeepsToItsClaim) {
  const double epsilon = GetParam();
  const PrivacyEvent event = event_for(NoiseKind::pure, 1, 1, epsilon);
  for (const char* rule : {"largest", "threshold"}) {
    const Evidence real = audit(selective_game(real_journey(selective_keys(event, rule))), kTrials, kDelta);
    report(rule, epsilon, real);
    EXPECT_LE(real.epsilon, claimed(event)) << rule;
    if (epsilon >= 2) {  // less than that is not seen in so few games
      EXPECT_GE(real.epsilon, 0.25 * epsilon) << rule;
    }
  }
}

// Its values are noised, but not which ones they are.
class OpenSelection final : public PrivacyMechanism {
 public:
  OpenSelection(std::shared_ptr<PrivacyMechanism> without_noise, double scale)
      : selection_(std::move(without_noise)), scale_(scale) {}

 private:
  void add_noise(const UpdateInfo& info, std::span<float> values) override {
    Update update{{info, FloatBuffer(values.begin(), values.end())}};
    const PrivateUpdate chosen = selection_->privatize(keep_.clip(std::move(update)));
    std::ranges::copy(chosen.values, values.begin());
    const auto source = make_insecure_noise_source(3, 0, static_cast<std::uint64_t>(info.round));
    for (float& value : values) {
      if (value != 0) add_laplace_noise(std::span(&value, 1), scale_, *source);
    }
  }

  class Keep final : public Clipper {
    void bound(Update&, double) override {}
  };
  Keep keep_;
  std::shared_ptr<PrivacyMechanism> selection_;
  double scale_;
};

TEST_P(AuditAt, FindsASelectionWithoutNoise) {
  const double epsilon = GetParam();
  const PrivacyEvent event = event_for(NoiseKind::pure, 1, 1, epsilon);
  Given exact = selective_keys(event, "largest");
  Journey journey = real_journey(exact);
  exact["privacy.noise_multiplier"] = "0";
  journey.mechanism = std::make_shared<OpenSelection>(real_journey(exact).mechanism, 4 * kNorm / epsilon);
  EXPECT_GT(audit(selective_game(journey), kTrials, kDelta).epsilon, claimed(event));
}

}  // namespace
}  // namespace gossamer::testing
