#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/layout.h"
#include "core/rng.h"
#include "privacy/privacy_plan.h"

namespace gossamer::testing {

using Given = std::map<std::string, std::string>;

// The privacy keys, with what they read of the other parts, as in a run of ten clients who all take part.
inline Options options_of(const Given& given) {
  const auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("data.clients", 10, ""));
  schema->add(integer_option("client.local_steps", 1, ""));
  schema->add(integer_option("client.local_epochs", 1, ""));
  schema->add(text_option("cohort.sampler", "uniform", ""));
  schema->add(real_option("cohort.fraction", 1, ""));
  schema->add(integer_option("cohort.size", 0, ""));
  add_privacy_options(*schema);
  Options options(schema);
  for (const auto& [key, value] : given) options.set(key, value);
  return options;
}

// Of a private run with clip norm 1, noise 1 and a seed, and what is given besides.
inline Options private_options(Given given) {
  given.insert({{"privacy.mechanism", "gaussian"},
                {"privacy.placement", "client"},
                {"privacy.clip_norm", "1"},
                {"privacy.noise_multiplier", "1"},
                {"privacy.insecure_seed", "1"}});
  return options_of(given);
}

// Layers of these lengths, and as many floats of buffers.
inline ParameterLayout layout_of(const std::vector<std::int64_t>& layers, std::int64_t buffers) {
  std::vector<TensorSpec> tensors;
  for (std::size_t i = 0; i < layers.size(); ++i)
    tensors.push_back({"layer" + std::to_string(i) + ".weight",
                       {layers[i]},
                       0,
                       static_cast<std::size_t>(layers[i]),
                       TensorRole::parameter});
  if (buffers > 0)
    tensors.push_back(
        {"norm.running_mean", {buffers}, 0, static_cast<std::size_t>(buffers), TensorRole::buffer});
  return ParameterLayout(tensors);
}

inline FloatBuffer normal_values(std::size_t n, std::uint64_t seed, double size = 1) {
  Rng rng(seed, Purpose::test);
  FloatBuffer values(n);
  for (float& value : values) value = static_cast<float>(size * rng.normal());
  return values;
}

inline double l1(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += std::abs(static_cast<double>(value));
  return sum;
}

inline double l2(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return std::sqrt(sum);
}

}  // namespace gossamer::testing
