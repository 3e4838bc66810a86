#include "privacy/clip.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace gossamer {
namespace {

// What rounding a vector's floats once more can add to its norm, and more.
constexpr double kRounding = 0x1p-22;

double largest_of(std::span<const float> values) {
  double largest = 0;
  for (const float value : values) {
    const double size = std::abs(static_cast<double>(value));
    if (!(size <= largest)) largest = size;  // NaN stays
    if (std::isnan(largest)) break;
  }
  return largest;
}

// The largest float that is not above it.
float float_below(double bound) {
  const auto near = static_cast<float>(bound);
  return static_cast<double>(near) <= bound ? near : std::nextafter(near, 0.0F);
}

}  // namespace

std::vector<std::size_t> layer_ends(const ParameterLayout& layout) {
  std::vector<std::size_t> ends;
  std::string previous;
  for (const TensorSpec& tensor : layout.tensors()) {
    if (tensor.role != TensorRole::parameter) continue;
    const std::string name = tensor.name.substr(0, tensor.name.rfind('.'));
    if (ends.empty() || name != previous) ends.push_back(0);
    ends.back() = tensor.offset + tensor.size;
    previous = name;
  }
  return ends;
}

double norm_for(NoiseKind noise, std::span<const float> values) {
  if (noise == NoiseKind::pure) return largest_of(values);
  // Several sums, so that the processor need not wait for each addition.
  constexpr std::size_t kSums = 8;
  double sums[kSums] = {};
  const auto add = [&](double& sum, float value) {
    const auto v = static_cast<double>(value);
    sum += noise == NoiseKind::laplace ? std::abs(v) : v * v;
  };
  std::size_t i = 0;
  for (; i + kSums <= values.size(); i += kSums) {
    for (std::size_t lane = 0; lane < kSums; ++lane) add(sums[lane], values[i + lane]);
  }
  for (; i < values.size(); ++i) add(sums[0], values[i]);
  double sum = 0;
  for (const double part : sums) sum += part;
  return noise == NoiseKind::laplace ? sum : std::sqrt(sum);
}

double clip_to(NoiseKind noise, double bound, std::span<float> values) {
  const double norm = norm_for(noise, values);
  if (!std::isfinite(norm)) {
    std::ranges::fill(values, 0.0F);
  } else if (norm > bound && noise == NoiseKind::pure) {
    const float most = float_below(bound);
    for (float& value : values) value = std::clamp(value, -most, most);
  } else if (norm > bound) {
    const double factor = bound / norm * (1 - kRounding);
    if (factor >= static_cast<double>(std::numeric_limits<float>::min())) {
      const auto by = static_cast<float>(factor);
      for (float& value : values) value *= by;
    } else {  // a float has not enough bits left for so small a factor
      for (float& value : values) value = static_cast<float>(static_cast<double>(value) * factor);
    }
  }
  return norm;
}

void shrink(std::span<float> values, double factor) {
  if (factor == 1) return;
  const auto by = static_cast<float>(factor);
  for (float& value : values) value *= by;
}

void conceal(Update& update, std::size_t parameters) {
  update.info.weight = 1;
  update.info.train_loss = 0;
  update.info.samples = 0;
  update.info.tau = nullptr;
  update.info.clip = nullptr;
  std::ranges::fill(std::span(update.values).subspan(parameters), 0.0F);
}

}  // namespace gossamer
