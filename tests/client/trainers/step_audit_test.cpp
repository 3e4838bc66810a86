// What the accountant claims of a step of DP-SGD against what a membership game shows of the real one:
// gradients of single examples, clipping, noise and division.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "client/trainers/dp_sgd.h"
#include "privacy/accountants/search.h"
#include "support.h"
#include "tests/privacy/audit.h"
#include "tests/privacy/make_accountant.h"

namespace gossamer::testing {
namespace {

constexpr double kStepDelta = 1e-5, kStepNorm = 0.7;
constexpr std::uint64_t kStepTrials = 15'000;  // of each kind, and each half
constexpr std::int64_t kOthers = 5, kFeatures = 8;

double noise_for(double epsilon) {
  return noise_multiplier_for([] { return make_accountant("pld"); }, {NoiseKind::gaussian, 1, 1, 1},
                              kStepDelta, epsilon);
}

// A linear model whose lot is an example with a huge gradient, or not, among others that point the other way.
class Lot {
 public:
  Lot()
      : model_(
            make_model(make_options({{"model.name", "logistic"}}), {FeatureKind::reals, {kFeatures}, 1, 4})),
        gradients_(make_clipped_gradients(*model_)) {
    const at::Tensor canary = torch::arange(1, kFeatures + 1, torch::kFloat).view({1, -1}) * 10;
    features_ = torch::cat({canary, (-canary).expand({kOthers, -1})}).contiguous();
    labels_ = torch::zeros({kOthers + 1}, torch::kLong);
    direction_.resize(gradients_->parameters());
    const std::array<double, 1> bound{1.0};
    gradients_->compute(features_.narrow(0, 0, 1), labels_.narrow(0, 0, 1), bound, false, direction_);
  }

  // Noise for `noise_multiplier` times kStepNorm, though gradients are clipped to `loose` times that;
  // `divide` by the actual number in place of the nominal one.
  Game game(double noise_multiplier, double loose = 1, bool divide = false) {
    const double nominal = kOthers;
    auto step = std::make_shared<DpSgdStep>(*gradients_, std::vector{loose * kStepNorm},
                                            noise_multiplier / loose, nominal);
    return [this, step, divide, nominal](bool with, std::uint64_t number) {
      const std::int64_t first = with ? 0 : 1, count = kOthers + 1 - first;
      step->add(features_.narrow(0, first, count), labels_.narrow(0, first, count));
      const auto source = make_insecure_noise_source(5, number, with ? 1 : 0);
      const std::span<const float> gradient = step->finish(*source).values();
      double along = 0;
      for (std::size_t i = 0; i < gradient.size(); ++i)
        along += static_cast<double>(gradient[i]) * static_cast<double>(direction_[i]);
      return divide ? along * nominal / static_cast<double>(count) : along;
    };
  }

 private:
  std::unique_ptr<Model> model_;
  std::unique_ptr<ClippedGradients> gradients_;
  at::Tensor features_, labels_;
  FloatBuffer direction_;
};

class StepAuditAt : public ::testing::TestWithParam<double> {};
INSTANTIATE_TEST_SUITE_P(Epsilons, StepAuditAt, ::testing::Values(0.5, 2.0, 8.0));

TEST_P(StepAuditAt, AStepKeepsToItsClaim) {
  const double epsilon = GetParam(), noise = noise_for(epsilon);
  const double claimed = epsilon_by("pld", {NoiseKind::gaussian, noise, 1, 1}, kStepDelta);
  Lot lot;
  const Evidence real = audit(lot.game(noise), kStepTrials, kStepDelta);
  RecordProperty("step_of_" + std::to_string(epsilon),
                 std::to_string(real.epsilon) + " " + std::to_string(real.of_gaussian));
  EXPECT_LE(real.epsilon, claimed);
  EXPECT_LE(real.of_gaussian, claimed);
  EXPECT_GE(real.of_gaussian, 0.6 * epsilon);
}

TEST_P(StepAuditAt, FindsFaults) {
  const double epsilon = GetParam(), noise = noise_for(epsilon);
  const double claimed = epsilon_by("pld", {NoiseKind::gaussian, noise, 1, 1}, kStepDelta);
  Lot lot;
  const auto shown = [&](const Game& game) { return audit(game, kStepTrials, kStepDelta).of_gaussian; };
  EXPECT_GT(shown(lot.game(noise / 2)), claimed) << "half the noise";
  EXPECT_GT(shown(lot.game(noise, 3)), claimed) << "clipped too late";
  EXPECT_GT(shown(lot.game(noise, 1, true)), claimed) << "over who came";
}

}  // namespace
}  // namespace gossamer::testing
