#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/layout.h"

namespace gossamer {

inline constexpr std::int64_t kMostShards = 64;

// Which floats of a model each shard of a server holds: one contiguous range each, in order, of equal length
// but for one float. Pure arithmetic, the same for servers and clients.
class ShardPlan {
 public:
  struct Range {
    std::size_t begin = 0;
    std::size_t size = 0;
  };

  // Throws ConfigError where the model is too small for so many: the first holds two trained floats at least,
  // and each one some.
  ShardPlan(const ParameterLayout& layout, std::int64_t shards);

  std::size_t shards() const noexcept { return shards_; }
  std::size_t floats() const noexcept { return floats_; }
  // `shard` < shards().
  Range range(std::size_t shard) const noexcept;
  // The trained floats among them: the first ones.
  Range trained(std::size_t shard) const noexcept;

  // What a shard holds of a vector of floats() floats.
  template <class T>
  std::span<T> part(std::span<T> whole, std::size_t shard) const noexcept {
    const Range held = range(shard);
    return whole.subspan(held.begin, held.size);
  }
  // The same as a layout of its own, in which the tensors at its ends may be cut, and of a model, as a model
  // of its own.
  const ParameterLayout& layout(std::size_t shard) const { return *layouts_[shard]; }
  std::shared_ptr<const Parameters> part(const Parameters& whole, std::size_t shard) const;

 private:
  std::size_t floats_, trained_, shards_;
  std::vector<std::shared_ptr<const ParameterLayout>> layouts_;
};

}  // namespace gossamer
