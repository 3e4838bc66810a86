#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "client/models/model_options.h"
#include "client/models/models.h"

namespace gossamer::testing {

using Settings = std::vector<std::pair<std::string, std::string>>;

inline Options model_options(const Settings& settings) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 1, "seed"));
  add_methods(*schema, models().describe());
  add_model_options(*schema);
  Options options(schema);
  for (const auto& [key, value] : settings) options.set(key, value);
  return options;
}

inline ExampleShape images(std::int64_t channels, std::int64_t extent) {
  return {FeatureKind::pixels, {channels, extent, extent}, 1, 10};
}
inline ExampleShape text(std::int64_t window, std::int64_t vocabulary) {
  return {FeatureKind::tokens, {window}, window, vocabulary};
}
// Examples that a model of the table is made for.
inline ExampleShape shape_for(const std::string& model) {
  if (model == "char_lstm") return text(12, 30);
  if (model == "easgd_cnn") return images(3, 32);
  if (model == "resnet18") return images(3, 8);
  return images(1, 28);
}

inline std::unique_ptr<Model> make(const std::string& model, const std::string& seed = "1") {
  return make_model(model_options({{"model.name", model}, {"run.seed", seed}}), shape_for(model));
}

struct Batch {
  at::Tensor features, labels;
};
// A batch that is the same on every call.
inline Batch batch_of(const ExampleShape& shape, std::int64_t n) {
  std::vector<std::int64_t> extents{n};
  extents.insert(extents.end(), shape.features.begin(), shape.features.end());
  const bool tokens = shape.kind == FeatureKind::tokens;
  Batch batch{at::empty(extents, tokens ? at::kLong : at::kFloat), at::empty({n * shape.labels}, at::kLong)};
  Rng rng(3, Purpose::test);
  const auto classes = static_cast<std::uint64_t>(shape.classes);
  for (std::int64_t i = 0; i < batch.features.numel(); ++i) {
    if (tokens) {
      batch.features.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(rng.below(classes));
    } else {
      batch.features.data_ptr<float>()[i] = rng.uniform_float();
    }
  }
  for (std::int64_t i = 0; i < batch.labels.numel(); ++i) {
    batch.labels.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(rng.below(classes));
  }
  return batch;
}

// One step of gradient descent, as a trainer takes it; returns the loss before it.
inline float step(Model& model, const Batch& batch, float lr) {
  for (at::Tensor& parameter : model.parameters()) parameter.mutable_grad() = at::Tensor();
  const at::Tensor loss = model.loss(model.forward(batch.features), batch.labels);
  loss.backward();
  for (std::size_t i = 0; i < model.parameters().size(); ++i) {
    const TensorSpec& spec = model.layout()->tensors()[i];
    const at::Tensor gradient = model.parameters()[i].grad().contiguous();
    for (std::size_t j = 0; j < spec.size; ++j) {
      model.values()[spec.offset + j] -= lr * gradient.data_ptr<float>()[j];
    }
  }
  return loss.item<float>();
}

inline std::vector<float> copy(const Model& model) { return {model.values().begin(), model.values().end()}; }

}  // namespace gossamer::testing
