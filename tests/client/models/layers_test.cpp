#include "client/models/layers.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>
#include <limits>
#include <vector>

namespace gossamer {
namespace {

using at::Tensor;
using Function = std::function<Tensor(const std::vector<Tensor>&)>;

// Values and gradients (for an arbitrary outer gradient) of two functions of the same inputs.
void expect_same(const Function& ours, const Function& reference, const std::vector<Tensor>& inputs,
                 double tolerance) {
  const auto run = [&](const Function& function) {
    std::vector<Tensor> leaves;
    for (const Tensor& input : inputs) leaves.push_back(input.detach().clone().set_requires_grad(true));
    std::vector<Tensor> results{function(leaves)};
    results[0].backward(at::arange(1.0, static_cast<double>(results[0].numel()) + 1, at::kFloat)
                            .view(results[0].sizes())
                            .cos());
    for (const Tensor& leaf : leaves) results.push_back(leaf.grad());
    return results;
  };
  const std::vector<Tensor> a = run(ours), b = run(reference);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].sizes(), b[i].sizes());
    EXPECT_TRUE(at::allclose(a[i], b[i], tolerance, tolerance)) << "result " << i;
  }
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(at::allclose(ours(inputs), reference(inputs), tolerance, tolerance));
}

class Layers : public ::testing::Test {
 protected:
  Layers() { at::manual_seed(11); }
};

TEST_F(Layers, DenseIsLinear) {
  for (std::int64_t n : {1, 3, 10, 17, 64}) {
    const std::vector<Tensor> inputs{at::randn({n, 37}), at::randn({21, 37}), at::randn({21})};
    expect_same([](const auto& t) { return dense(t[0], t[1], t[2]); },
                [](const auto& t) { return at::linear(t[0], t[1], t[2]); }, inputs, 1e-5);
    expect_same([](const auto& t) { return dense_relu(t[0], t[1], t[2]); },
                [](const auto& t) { return at::relu(at::linear(t[0], t[1], t[2])); }, inputs, 1e-5);
  }
}

TEST_F(Layers, PoolingIsReluAndMaxPool) {
  for (const std::vector<std::int64_t>& extents :
       std::vector<std::vector<std::int64_t>>{{2, 3, 28, 28}, {1, 2, 14, 14}, {3, 1, 7, 9}, {1, 1, 2, 2}}) {
    // Rounded to few values, so that there are ties and zeros: the first of equals gets the gradient.
    const std::vector<Tensor> inputs{at::randn(extents).mul(2).round()};
    expect_same([](const auto& t) { return max_pool2_relu(t[0]); },
                [](const auto& t) { return at::relu(at::max_pool2d(t[0], 2)); }, inputs, 0);
  }
}

TEST_F(Layers, PoolingPassesNotANumberOn) {
  for (std::int64_t place = 0; place < 4; ++place) {
    Tensor x = at::ones({1, 1, 2, 2});
    x.view({4})[place] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(max_pool2_relu(x).item<float>())) << place;
    EXPECT_TRUE(std::isnan(max_pool2_relu(x.set_requires_grad(true)).item<float>())) << place;
  }
}

TEST_F(Layers, CrossEntropyIsCrossEntropy) {
  for (std::int64_t n : {1, 10, 33}) {
    const Tensor labels = at::randint(7, {n}, at::kLong);
    expect_same([&](const auto& t) { return softmax_cross_entropy(t[0], labels); },
                [&](const auto& t) { return at::cross_entropy_loss(t[0], labels); }, {at::randn({n, 7}) * 5},
                1e-6);
  }
}

TEST_F(Layers, CrossEntropyRefusesLabelsThatAreNoClass) {
  const Tensor logits = at::zeros({2, 3});
  EXPECT_THROW(softmax_cross_entropy(logits, at::tensor({0, 3}, at::kLong)), std::out_of_range);
  EXPECT_THROW(softmax_cross_entropy(logits, at::tensor({-1, 0}, at::kLong)), std::out_of_range);
  EXPECT_THROW(softmax_cross_entropy(logits, at::tensor({0}, at::kLong)), std::out_of_range);
}

TEST_F(Layers, DropoutKeepsTheMean) {
  Rng rng(1, Purpose::test);
  const Tensor x = at::ones({100'000}).set_requires_grad(true);
  const Tensor y = dropout(x, 0.25, rng);
  EXPECT_NEAR(y.mean().item<double>(), 1, 5 * std::sqrt(0.25 / 0.75 / 100'000));
  EXPECT_NEAR((y == 0).to(at::kFloat).mean().item<double>(), 0.25, 5 * std::sqrt(0.25 * 0.75 / 100'000));
  y.sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), y.detach()));
}

TEST_F(Layers, CropsLieInsideAndCoverEveryPlace) {
  // Each pixel names its example, channel, row and column.
  const Tensor x = at::arange(64 * 2 * 6 * 7, at::kFloat).view({64, 2, 6, 7});
  Rng rng(1, Purpose::test);
  const Tensor crops = random_crop(x, 5, rng);
  std::vector<int> seen(2 * 3, 0);
  for (std::int64_t i = 0; i < 64; ++i) {
    const auto corner = crops[i][0][0][0].item<std::int64_t>() - i * 84;
    const std::int64_t top = corner / 7, left = corner % 7;
    ASSERT_LT(top, 2);
    ASSERT_LT(left, 3);
    ++seen[static_cast<std::size_t>(top * 3 + left)];
    EXPECT_TRUE(at::equal(crops[i], x[i].narrow(1, top, 5).narrow(2, left, 5)));
  }
  for (int count : seen) EXPECT_GT(count, 0);
  EXPECT_TRUE(at::equal(centre_crop(x, 4), x.narrow(2, 1, 4).narrow(3, 1, 4)));
}

// A device whose memory cannot be read here: what touched the floats would fail.
TEST_F(Layers, AreComputedWhereTheirInputsAre) {
  const auto there = at::TensorOptions(at::kMeta).dtype(at::kFloat);
  Rng rng(1, Purpose::test);
  const at::Tensor x = at::empty({3, 2, 8, 6}, there).requires_grad_(true);
  const at::Tensor pooled = max_pool2_relu(x);
  EXPECT_EQ(pooled.sizes(), at::IntArrayRef({3, 2, 4, 3}));
  const at::Tensor cropped = random_crop(x, 5, rng);
  EXPECT_EQ(cropped.sizes(), at::IntArrayRef({3, 2, 5, 5}));
  EXPECT_EQ(centre_crop(x, 4).sizes(), at::IntArrayRef({3, 2, 4, 4}));
  const at::Tensor weight = at::empty({24, 10}, there).requires_grad_(true);
  const at::Tensor logits = at::mm(dropout(pooled.reshape({3, 24}), 0.5, rng), weight);
  const at::Tensor loss = softmax_cross_entropy(logits, at::empty({3}, there.dtype(at::kLong)));
  loss.backward();
  for (const at::Tensor& one : {pooled, cropped, loss, x.grad(), weight.grad()}) EXPECT_TRUE(one.is_meta());
}

}  // namespace
}  // namespace gossamer
