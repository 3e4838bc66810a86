#include "client/trainers/dp_sgd.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <type_traits>

#include "client/trainers/gradients.h"
#include "client/trainers/poisson_lots.h"
#include "privacy/noise/noise.h"
#include "support.h"

namespace gossamer {
namespace {

using testing::MemorySet;
using testing::patterns;

RandomWords words_of(std::uint64_t seed) {
  return [rng = Rng(seed, Purpose::test)](std::span<std::uint64_t> words) mutable {
    for (std::uint64_t& word : words) word = rng.bits64();
  };
}

// Examples whose only feature, and whose label, is their number.
std::shared_ptr<const ExampleSet> numbered(std::int64_t count) {
  std::vector<float> features;
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    features.push_back(static_cast<float>(i));
    labels.push_back(i);
  }
  return std::make_shared<MemorySet>(ExampleShape{FeatureKind::reals, {1}, 1, count}, features, labels);
}

std::vector<std::int64_t> next_lot(PoissonLots& lots, std::int64_t largest_part) {
  const std::int64_t size = lots.draw();
  std::vector<std::int64_t> members;
  while (const auto part = lots.next()) {
    EXPECT_GT(part->examples, 0);
    EXPECT_LE(part->examples, largest_part);
    EXPECT_EQ(part->features.size(0), part->examples);
    for (std::int64_t i = 0; i < part->examples; ++i) {
      members.push_back(part->labels[i].item<std::int64_t>());
      EXPECT_EQ(part->features[i].item<float>(), static_cast<float>(members.back()));
    }
  }
  EXPECT_EQ(static_cast<std::int64_t>(members.size()), size);
  return members;
}

TEST(PoissonLots, EveryExampleComesByItselfWithProbabilityQ) {
  constexpr int kLots = 2000, kExamples = 50;
  constexpr double kQ = 0.1;
  PoissonLots lots(4);
  lots.start(numbered(kExamples), kQ, words_of(3));
  std::vector<double> times(kExamples, 0.0), previous(kExamples, 0.0);
  double total = 0, squares = 0, again = 0, both = 0;
  for (int lot = 0; lot < kLots; ++lot) {
    const std::vector<std::int64_t> members = next_lot(lots, 4);
    std::vector<double> in(kExamples, 0.0);
    for (const std::int64_t member : members) in[static_cast<std::size_t>(member)] += 1;
    for (std::size_t i = 0; i < in.size(); ++i) {
      times[i] += in[i];
      again += in[i] * previous[i];
      if (i > 0) both += in[i] * in[i - 1];
    }
    previous = in;
    const auto size = static_cast<double>(members.size());
    total += size;
    squares += (size - kQ * kExamples) * (size - kQ * kExamples);
  }
  const auto expect_count = [](double count, double trials, double probability) {
    EXPECT_NEAR(count, trials * probability, 5 * std::sqrt(trials * probability * (1 - probability)));
  };
  expect_count(total, kLots * kExamples, kQ);
  for (const double count : times) expect_count(count, kLots, kQ);
  expect_count(again, (kLots - 1) * kExamples, kQ * kQ);  // lots are independent
  expect_count(both, kLots * (kExamples - 1), kQ * kQ);   // and so are examples
  const double variance = kExamples * kQ * (1 - kQ);
  EXPECT_NEAR(squares / kLots, variance, 5 * variance * std::sqrt(2.0 / kLots));
}

TEST(PoissonLots, MayBeEmpty) {
  PoissonLots lots(10);
  lots.start(numbered(10), 1e-9, words_of(1));
  EXPECT_EQ(lots.draw(), 0);
  EXPECT_FALSE(lots.next());
}

TEST(PoissonLots, OfRateOneHoldEverybody) {
  PoissonLots lots(3000);
  lots.start(numbered(10'000), 1, words_of(1));
  const std::vector<std::int64_t> members = next_lot(lots, 3000);
  ASSERT_EQ(members.size(), 10'000U);
  EXPECT_TRUE(std::ranges::is_sorted(members));
  lots.draw();
  EXPECT_EQ(lots.next()->examples, 3000);
  lots.start(numbered(2), 1, words_of(1));  // what was left of the lot is gone
  EXPECT_FALSE(lots.next());
  EXPECT_EQ(next_lot(lots, 3000), (std::vector<std::int64_t>{0, 1}));
}

TEST(PoissonLots, TakeAnExampleIfItsWordIsBelowQ) {
  constexpr std::uint64_t kQuarter = std::uint64_t{1} << 62U;
  PoissonLots lots(10);
  lots.start(numbered(4), 0.25, [](std::span<std::uint64_t> words) {
    ASSERT_EQ(words.size(), 4U);
    words[0] = kQuarter - 1;
    words[1] = kQuarter;
    words[2] = 0;
    words[3] = ~std::uint64_t{0};
  });
  EXPECT_EQ(next_lot(lots, 10), (std::vector<std::int64_t>{0, 2}));
  for (const double rate : {0.0, -0.1, 1.1, std::nan("")}) {
    EXPECT_THROW(lots.start(numbered(4), rate, words_of(1)), std::invalid_argument);
  }
}

// An mlp, 20 examples, and plain SGD at a rate of 0.5.
class DpSgd : public ::testing::Test {
 protected:
  DpSgd() : model_(make_model(options_, {FeatureKind::reals, {1, 28, 28}, 1, 10})) {
    lots_.start(patterns(20, 4), 1, words_of(1));
    gradients_ = make_clipped_gradients(*model_);
    optimizer_ = client_optimizers().make(options_, model_->layout()->parameter_count());
    optimizer_->reset();
  }
  LotCounts step(DpSgdStep& step, std::int64_t batches = 3) {
    lots_.draw();
    for (std::int64_t i = 0; i < batches; ++i) {
      const auto part = lots_.next();
      step.add(part->features, part->labels);
    }
    return finish(step);
  }
  LotCounts finish(DpSgdStep& step) {
    NoisyGradient& gradient = step.finish(*source_);
    optimizer_->begin_step();
    optimizer_->step(model_->values().first(gradient.values().size()), gradient.values(), 0);
    return step.last();
  }
  std::vector<float> weights() const { return {model_->values().begin(), model_->values().end()}; }
  void expect_moved(const std::vector<float>& from, const std::vector<float>& gradient, double tolerance) {
    const std::vector<float> to = weights();
    for (std::size_t i = 0; i < to.size(); ++i) {
      ASSERT_NEAR(to[i], from[i] - 0.5F * gradient[i], tolerance) << i;
    }
  }

  Options options_ = testing::make_options({{"model.name", "mlp"}, {"client.lr", "0.5"}});
  std::unique_ptr<Model> model_;
  std::unique_ptr<ClippedGradients> gradients_;
  std::unique_ptr<ClientOptimizer> optimizer_;
  PoissonLots lots_{7};
  std::unique_ptr<NoiseSource> source_ = make_insecure_noise_source(3);
};

// Only clipping fills a lot, and only a lot's noise makes the gradient of a step.
static_assert(!std::is_constructible_v<NoisyGradient, FloatBuffer>);
static_assert(!std::is_constructible_v<NoisyGradient, std::span<float>>);
static_assert(!std::is_constructible_v<NoisyGradient, ClippedLot>);
static_assert(!std::is_constructible_v<ClippedLot, FloatBuffer, std::vector<double>>);
static_assert(!std::is_convertible_v<ClippedLot, std::span<float>>);

TEST_F(DpSgd, WithoutNoiseAndBoundIsSgd) {
  lots_.draw();
  at::Tensor features, labels;
  while (const auto part = lots_.next()) {
    features = features.defined() ? at::cat({features, part->features}) : part->features.clone();
    labels = labels.defined() ? at::cat({labels, part->labels}) : part->labels.clone();
  }
  const auto plain = make_gradients(*model_);
  const float loss = plain->compute(features, labels, 1, false);
  std::vector<float> gradient;
  for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
    const auto part = plain->of(i);
    gradient.insert(gradient.end(), part.begin(), part.end());
  }
  const std::vector<float> before = weights();
  DpSgdStep sgd(*gradients_, {std::numeric_limits<double>::infinity()}, 0, 20);
  const LotCounts lot = step(sgd);
  EXPECT_EQ(lot.examples, 20);
  EXPECT_EQ(lot.not_finite, 0);
  EXPECT_NEAR(lot.loss, loss, 1e-5);
  expect_moved(before, gradient, 1e-7);
}

TEST_F(DpSgd, AddsNoiseOncePerLotAndDividesByTheNominalSize) {
  constexpr double kMultiplier = 4, kLot = 50;
  const std::size_t parameters = model_->layout()->parameter_count();
  const double deviation = gaussian_deviation_for(kMultiplier, 0.3, parameters);
  const auto same_source = make_insecure_noise_source(3);
  // The noise of each lot comes next in the source, so that a second helping would show in the lot after.
  const auto noised = [&](std::vector<float> values) {
    add_gaussian_noise(values, deviation, *same_source);
    for (float& value : values) value /= kLot;
    return values;
  };
  std::vector<float> sum(parameters);
  lots_.draw();
  const std::vector<double> bound{0.3};
  for (int i = 0; i < 2; ++i) {
    const auto part = lots_.next();
    gradients_->compute(part->features, part->labels, bound, i > 0, sum);
  }
  DpSgdStep sgd(*gradients_, bound, kMultiplier, kLot);
  std::vector<float> before = weights();
  EXPECT_EQ(step(sgd, 2).examples, 14);
  expect_moved(before, noised(sum), 1e-7);
  before = weights();
  const LotCounts empty = step(sgd, 0);
  EXPECT_EQ(empty.examples, 0);
  EXPECT_EQ(empty.loss, 0);
  expect_moved(before, noised(std::vector<float>(parameters)), 1e-7);
}

TEST_F(DpSgd, NoiseIsThatManyTimesWhatOneExampleMovesOnItsGrid) {
  const std::vector<double> bounds{3, 4, 12};
  ClippedLot lot(model_->layout()->parameter_count(), bounds);
  EXPECT_EQ(lot.sensitivity(), 13);
  for (const double multiplier : {0.5, 1.1, 8.0, 100.0}) {
    for (const double bound : {0.1, 1.0, 1.9999, 4.0}) {
      for (const std::size_t values : {std::size_t{1}, std::size_t{71'010}, std::size_t{20'000'000}}) {
        const double deviation = gaussian_deviation_for(multiplier, bound, values);
        const double moved = bound + std::sqrt(static_cast<double>(values)) * gaussian_noise_grid(deviation);
        EXPECT_NEAR(deviation / moved, multiplier, 1e-12 * multiplier);
      }
    }
  }
  EXPECT_EQ(gaussian_deviation_for(0, std::numeric_limits<double>::infinity(), 5), 0);
  EXPECT_THROW(gaussian_deviation_for(1e6, 1, 1'000'000), std::logic_error);
}

TEST_F(DpSgd, CountsExamplesThatAreNotFinite) {
  DpSgdStep sgd(*gradients_, {1.0}, 0, 20);
  lots_.draw();
  const auto part = lots_.next();
  part->features[2].fill_(std::numeric_limits<float>::quiet_NaN());
  sgd.add(part->features, part->labels);
  const LotCounts lot = finish(sgd);
  EXPECT_EQ(lot.examples, 7);
  EXPECT_EQ(lot.not_finite, 1);
  EXPECT_TRUE(std::isfinite(lot.loss));
  EXPECT_THAT(weights(), ::testing::Each(::testing::Truly([](float w) { return std::isfinite(w); })));
  EXPECT_THROW(DpSgdStep(*gradients_, {1.0}, 0, 0), std::invalid_argument);
}

}  // namespace
}  // namespace gossamer
