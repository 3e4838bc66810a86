#pragma once

#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "client/models/models.h"
#include "client/optimizers/client_optimizer.h"
#include "client/trainers/client_options.h"
#include "client/trainers/trainer.h"
#include "core/rng.h"

namespace gossamer::testing {

// Examples in memory: `features` floats and `labels` class indices each.
class MemorySet final : public ExampleSet {
 public:
  MemorySet(ExampleShape shape, std::vector<float> features, std::vector<std::int64_t> labels)
      : shape_(std::move(shape)), features_(std::move(features)), labels_(std::move(labels)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()) / shape_.labels; }
  const ExampleShape& shape() const override { return shape_; }
  using ExampleSet::gather;
  void gather(std::span<const std::int64_t> indices, float* features, std::int64_t* labels) const override {
    const std::int64_t width = shape_.feature_count();
    for (std::int64_t index : indices) {
      features = std::copy_n(features_.data() + index * width, width, features);
      labels = std::copy_n(labels_.data() + index * shape_.labels, shape_.labels, labels);
    }
  }

 private:
  ExampleShape shape_;
  std::vector<float> features_;
  std::vector<std::int64_t> labels_;
};

// `count` images of noise around one pattern a class, which a model can learn.
inline std::shared_ptr<const ExampleSet> patterns(std::int64_t count, std::uint64_t seed,
                                                  std::vector<std::int64_t> extents = {1, 28, 28}) {
  const ExampleShape shape{FeatureKind::reals, std::move(extents), 1, 10};
  const auto width = static_cast<std::size_t>(shape.feature_count());
  Rng rng(seed, Purpose::test);
  std::vector<float> features;
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    labels.push_back(static_cast<std::int64_t>(rng.below(10)));
    Rng pattern(0, Purpose::test, static_cast<std::uint64_t>(labels.back()));
    for (std::size_t j = 0; j < width; ++j) {
      features.push_back(pattern.uniform_float() * 0.6F + rng.uniform_float() * 0.4F);
    }
  }
  return std::make_shared<MemorySet>(shape, std::move(features), std::move(labels));
}

// One parameter x and the loss a (x - b)^2 / 2, with (a, b) as an example's features.
class Quadratic final : public Model {
 public:
  explicit Quadratic(float start);
  at::Tensor forward(const at::Tensor& features) override;
  at::Tensor loss(const at::Tensor& logits, const at::Tensor& labels) override;
  void set_training(bool) override {}
  void save(const std::string&) const override {}
  void load(const std::string&) override {}

 private:
  at::Tensor x_;
};

// The quadratic a (x - b)^2 / 2 as a client's only example.
inline std::shared_ptr<const ExampleSet> quadratic(float a, float b) {
  return std::make_shared<MemorySet>(ExampleShape{FeatureKind::reals, {2}, 1, 1}, std::vector<float>{a, b},
                                     std::vector<std::int64_t>{0});
}

// Every key that the trainers read; those that belong to other parts are declared here.
Options make_options(const std::vector<std::pair<std::string, std::string>>& given = {});

}  // namespace gossamer::testing
