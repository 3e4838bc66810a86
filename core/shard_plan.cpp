#include "core/shard_plan.h"

#include <algorithm>

#include "core/error.h"

namespace gossamer {
namespace {

std::shared_ptr<const ParameterLayout> cut(const ParameterLayout& layout, ShardPlan::Range range) {
  std::vector<TensorSpec> tensors;
  for (const TensorSpec& tensor : layout.tensors()) {
    const std::size_t begin = std::max(tensor.offset, range.begin);
    const std::size_t end = std::min(tensor.offset + tensor.size, range.begin + range.size);
    if (begin >= end) continue;
    TensorSpec part = tensor;
    if (end - begin < tensor.size) part.shape = {static_cast<std::int64_t>(end - begin)};
    tensors.push_back(std::move(part));
  }
  return std::make_shared<const ParameterLayout>(std::move(tensors));
}

}  // namespace

ShardPlan::ShardPlan(const ParameterLayout& layout, std::int64_t shards)
    : floats_(layout.size()),
      trained_(layout.parameter_count()),
      shards_(static_cast<std::size_t>(std::max<std::int64_t>(1, shards))) {
  if (shards_ > 1 && 2 * shards_ > trained_) {
    throw ConfigError("server.shards = " + std::to_string(shards_) + ": the model has " +
                      std::to_string(trained_) + " trained parameters; expected at most half as many shards");
  }
  for (std::size_t s = 0; s < shards_; ++s) layouts_.push_back(cut(layout, range(s)));
}

ShardPlan::Range ShardPlan::range(std::size_t shard) const noexcept {
  // In two steps, since floats_ * shards_ might not fit.
  const std::size_t share = floats_ / shards_, rest = floats_ % shards_;
  const auto begin = [&](std::size_t s) { return s * share + std::min(s, rest); };
  return {begin(shard), begin(shard + 1) - begin(shard)};
}

ShardPlan::Range ShardPlan::trained(std::size_t shard) const noexcept {
  const Range held = range(shard);
  return {held.begin, std::clamp(trained_, held.begin, held.begin + held.size) - held.begin};
}

std::shared_ptr<const Parameters> ShardPlan::part(const Parameters& whole, std::size_t shard) const {
  auto parted = std::make_shared<Parameters>();
  parted->layout = layouts_[shard];
  const auto values = part(std::span<const float>(whole.values), shard);
  parted->values.assign(values.begin(), values.end());
  return parted;
}

}  // namespace gossamer
