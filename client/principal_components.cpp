#include "client/principal_components.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "core/buffers.h"
#include "privacy/noise/noise.h"

namespace gossamer {
namespace {

// Calls use(features, labels) for blocks of examples: [examples, features] doubles.
void for_blocks(const ExampleSet& examples,
                const std::function<void(const at::Tensor&, std::span<const std::int64_t>)>& use) {
  constexpr std::int64_t kBlock = 1000;
  const ExampleShape& shape = examples.shape();
  std::vector<std::int64_t> indices, labels;
  for (std::int64_t first = 0; first < examples.size(); first += kBlock) {
    indices.resize(static_cast<std::size_t>(std::min(kBlock, examples.size() - first)));
    std::iota(indices.begin(), indices.end(), first);
    const auto count = static_cast<std::int64_t>(indices.size());
    labels.resize(indices.size() * static_cast<std::size_t>(shape.labels));
    const at::Tensor floats = at::empty({count, shape.feature_count()}, at::kFloat);
    examples.gather(indices, floats.data_ptr<float>(), labels.data());
    use(floats.to(at::kDouble), labels);
  }
}

// Adds noise to the entries on and above the diagonal, each a whole multiple of the noise's grid, and mirrors
// them. The noise alone is floats: sums of many examples would not fit into them.
void add_symmetric_noise(at::Tensor& moments, double noise_multiplier, NoiseSource& source) {
  const std::int64_t n = moments.size(0);
  FloatBuffer noise(static_cast<std::size_t>(n * (n + 1) / 2), 0.0F);
  const double deviation = gaussian_deviation_for(noise_multiplier, 1, noise.size());
  add_gaussian_noise(noise, deviation, source);
  const double grid = gaussian_noise_grid(deviation);
  auto entries = moments.accessor<double, 2>();
  const float* next = noise.data();
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = i; j < n; ++j) {
      const double noisy = std::trunc(entries[i][j] / grid) * grid + static_cast<double>(*next++);
      entries[i][j] = noisy;
      entries[j][i] = noisy;
    }
  }
}

}  // namespace

at::Tensor noisy_second_moments(const ExampleSet& examples, double noise_multiplier, NoiseSource& source) {
  const at::NoGradGuard no_grad;
  const std::int64_t features = examples.shape().feature_count();
  at::Tensor moments = at::zeros({features, features}, at::kDouble);
  for_blocks(examples, [&](const at::Tensor& rows, auto) {
    const at::Tensor scaled = rows / rows.norm(2, 1, /*keepdim=*/true).clamp_min(1e-30);
    moments.addmm_(scaled.t(), scaled);
  });
  if (noise_multiplier > 0) add_symmetric_noise(moments, noise_multiplier, source);
  return moments;
}

at::Tensor principal_directions(const at::Tensor& moments, std::int64_t dimensions) {
  const at::NoGradGuard no_grad;
  const std::int64_t features = moments.size(0);
  const at::Tensor vectors = std::get<1>(at::linalg_eigh(moments));  // columns, ascending
  at::Tensor directions = vectors.narrow(1, features - dimensions, dimensions).t().flip(0).contiguous();
  for (std::int64_t i = 0; i < dimensions; ++i) {
    at::Tensor direction = directions[i];
    if (direction[direction.abs().argmax()].item<double>() < 0) direction.neg_();
  }
  return directions;
}

std::vector<float> along(const at::Tensor& directions, const ExampleSet& examples) {
  const at::NoGradGuard no_grad;
  std::vector<float> values;
  for_blocks(examples, [&](const at::Tensor& rows, auto) {
    const at::Tensor block = rows.mm(directions.t()).to(at::kFloat).contiguous();
    values.insert(values.end(), block.data_ptr<float>(), block.data_ptr<float>() + block.numel());
  });
  return values;
}

std::vector<std::int32_t> labels_of(const ExampleSet& examples) {
  std::vector<std::int32_t> all;
  for_blocks(examples, [&](const at::Tensor&, std::span<const std::int64_t> labels) {
    for (const std::int64_t label : labels) all.push_back(static_cast<std::int32_t>(label));
  });
  return all;
}

}  // namespace gossamer
