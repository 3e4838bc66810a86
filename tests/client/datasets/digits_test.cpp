#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <set>

#include "client/datasets/digit_strokes.h"
#include "tests/client/datasets/support.h"

namespace gossamer {
namespace {

using testing_data::data_options;
using testing_data::gather_all;
using testing_data::Gathered;
using testing_data::make_data;

using Keys = std::vector<std::pair<std::string, std::string>>;

TEST(Digits, OnlyTheSeedAndTheClientDecide) {
  const auto a = make_data({{"run.seed", "3"}});
  const auto b = make_data({{"run.seed", "3"}, {"data.clients", "5"}});
  const auto c = make_data({{"run.seed", "4"}});
  b->client(2);  // what else was asked for does not matter
  const Gathered first = gather_all(*a->client(3));
  EXPECT_EQ(first.features, gather_all(*b->client(3)).features);
  EXPECT_EQ(first.labels, gather_all(*b->client(3)).labels);
  EXPECT_NE(first.features, gather_all(*a->client(4)).features);
  EXPECT_NE(first.features, gather_all(*c->client(3)).features);
}

TEST(Digits, ShapesAndCounts) {
  const auto data = make_data({{"data.clients", "7"}, {"data.digits.test_samples", "25"}});
  EXPECT_EQ(data->clients(), 7);
  EXPECT_EQ(data->examples(6), 60);
  EXPECT_EQ(data->client(6)->size(), 60);
  EXPECT_EQ(data->shape().features, (std::vector<std::int64_t>{1, 28, 28}));
  EXPECT_EQ(data->shape().classes, 10);
  const Gathered test = gather_all(*data->test());
  ASSERT_EQ(test.labels.size(), 25U);
  for (std::size_t i = 0; i < test.labels.size(); ++i)
    EXPECT_EQ(test.labels[i], static_cast<std::int64_t>(i % 10));
  EXPECT_EQ(data->test(), data->test());
  const auto [low, high] = std::ranges::minmax(test.features);
  EXPECT_GE(low, 0.0F);
  EXPECT_LE(high, 1.0F);
  EXPECT_GT(high, 0.7F);
}

// No storage a client: as many clients as a 64-bit number can count are as cheap as one.
TEST(Digits, ClientsCostNothingUntilTheyAreAskedFor) {
  for (const std::string partition : {"iid", "shards", "dirichlet", "quantity_skew", "natural"}) {
    const auto data = make_data({{"data.clients", "1000000000000"}, {"data.partition", partition}});
    EXPECT_EQ(data->clients(), 1'000'000'000'000);
    const auto last = data->client(999'999'999'999);
    EXPECT_EQ(last->size(), data->examples(999'999'999'999)) << partition;
    EXPECT_GE(last->size(), 1) << partition;
  }
}

// The most different labels among 20 clients.
std::size_t most_labels(const Keys& keys) {
  const auto data = make_data(keys);
  std::size_t most = 0;
  for (ClientId k = 0; k < 20; ++k) {
    const Gathered digits = gather_all(*data->client(k));
    most = std::max(most, std::set(digits.labels.begin(), digits.labels.end()).size());
  }
  return most;
}

TEST(Digits, PartitionsSkewLabels) {
  EXPECT_GE(most_labels({{"data.partition", "iid"}}), 9U);
  EXPECT_GE(most_labels({{"data.partition", "natural"}}), 9U);
  EXPECT_EQ(most_labels({{"data.partition", "shards"}}), 2U);
  EXPECT_LE(most_labels({{"data.partition", "shards"}, {"data.shards_per_client", "3"}}), 3U);
  EXPECT_LE(most_labels({{"data.partition", "dirichlet"}, {"data.alpha", "0.02"}}), 5U);
}

TEST(Digits, QuantitySkewVariesSizesAroundTheMean) {
  const auto data = make_data({{"data.partition", "quantity_skew"}, {"data.clients", "2000"}});
  double sum = 0;
  std::int64_t most = 0;
  for (ClientId k = 0; k < 2000; ++k) {
    const std::int64_t size = data->examples(k);
    ASSERT_GE(size, 1);
    sum += static_cast<double>(size);
    most = std::max(most, size);
  }
  // A gamma with shape 0.5 and mean 60 has the standard deviation 60 * sqrt(2).
  EXPECT_NEAR(sum / 2000, 60, 5 * 60 * std::sqrt(2.0 / 2000));
  EXPECT_GT(most, 240);
}

// How far a client's mean picture of the digit 1 is from the population's, on average.
double style_distance(const std::string& partition) {
  const auto data = make_data({{"data.partition", partition}});
  std::vector<std::vector<double>> means;
  std::vector<double> whole(kDigitPixels);
  for (ClientId k = 0; k < 40; ++k) {
    const Gathered digits = gather_all(*data->client(k));
    std::vector<double> mean(kDigitPixels);
    for (std::size_t i = 0; i < digits.features.size(); ++i)
      mean[i % kDigitPixels] += digits.features[i] / 60.0;
    for (std::size_t p = 0; p < kDigitPixels; ++p) whole[p] += mean[p] / 40.0;
    means.push_back(std::move(mean));
  }
  double distance = 0;
  for (const auto& mean : means) {
    for (std::size_t p = 0; p < kDigitPixels; ++p)
      distance += (mean[p] - whole[p]) * (mean[p] - whole[p]) / 40.0;
  }
  return distance;
}

TEST(Digits, UnderNaturalEachClientHasAHandOfItsOwn) {
  EXPECT_GT(style_distance("natural"), 3 * style_distance("iid"));
}

TEST(Digits, NaturalIsTheDefaultOfARun) {
  Options left_alone = data_options({});
  make_dataset(left_alone);
  EXPECT_EQ(left_alone.text("data.partition"), "natural");
  Options given = data_options({{"data.partition", "iid"}});
  make_dataset(given);
  EXPECT_EQ(given.text("data.partition"), "iid");
}

// Multinomial logistic regression by plain SGD: the digits are neither trivial nor noise.
TEST(Digits, ALinearModelLearnsThemButNotWell) {
  constexpr std::size_t kClasses = 10;
  const auto data = make_data({{"data.partition", "iid"}});
  std::vector<float> weights((kDigitPixels + 1) * kClasses);
  const auto scores = [&](const float* x) {
    std::array<float, kClasses> z{};
    for (std::size_t c = 0; c < kClasses; ++c) {
      const float* w = weights.data() + c * (kDigitPixels + 1);
      z[c] = std::inner_product(x, x + kDigitPixels, w, w[kDigitPixels]);
    }
    return z;
  };
  for (int epoch = 0; epoch < 4; ++epoch) {
    for (ClientId k = 0; k < 100; ++k) {
      const Gathered digits = gather_all(*data->client(k));
      for (std::size_t i = 0; i < digits.labels.size(); ++i) {
        const float* x = digits.features.data() + i * kDigitPixels;
        auto z = scores(x);
        const float top = std::ranges::max(z);
        float sum = 0;
        for (float& value : z) sum += value = std::exp(value - top);
        for (std::size_t c = 0; c < kClasses; ++c) {
          const float step =
              0.01F * ((static_cast<std::int64_t>(c) == digits.labels[i] ? 1.0F : 0.0F) - z[c] / sum);
          float* w = weights.data() + c * (kDigitPixels + 1);
          for (std::size_t p = 0; p < kDigitPixels; ++p) w[p] += step * x[p];
          w[kDigitPixels] += step;
        }
      }
    }
  }
  const Gathered test = gather_all(*data->test());
  double right = 0;
  for (std::size_t i = 0; i < test.labels.size(); ++i) {
    const auto z = scores(test.features.data() + i * kDigitPixels);
    right += std::ranges::max_element(z) - z.begin() == test.labels[i] ? 1 : 0;
  }
  const double accuracy = right / static_cast<double>(test.labels.size());
  EXPECT_GT(accuracy, 0.7);
  EXPECT_LT(accuracy, 0.93);
}

TEST(Digits, NoPictureIsEmptyOrCutOffByMuch) {
  for (std::uint64_t writer = 0; writer < 300; ++writer) {
    Rng rng(5, Purpose::test, writer);
    const WriterStyle style = draw_style(rng);
    for (int digit = 0; digit < 10; ++digit) {
      std::array<std::uint8_t, kDigitPixels> image{};
      draw_digit(digit, style, rng, image);
      std::size_t inked = 0;
      std::size_t at_border = 0;
      for (std::size_t p = 0; p < kDigitPixels; ++p) {
        if (image[p] < 100) continue;
        ++inked;
        const std::size_t x = p % 28;
        const std::size_t y = p / 28;
        at_border += x == 0 || y == 0 || x == 27 || y == 27 ? 1 : 0;
      }
      EXPECT_GT(inked, 12U) << writer << ' ' << digit;
      EXPECT_LT(inked, 400U) << writer << ' ' << digit;
      EXPECT_LT(at_border, 10U) << writer << ' ' << digit;
    }
  }
}

}  // namespace
}  // namespace gossamer
