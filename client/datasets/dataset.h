#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/registry.h"
#include "core/types.h"

namespace gossamer {

// `pixels` are bytes in memory and floats in [0, 1] in a batch; `reals` are floats; `tokens` are 64-bit
// indices into a vocabulary.
enum class FeatureKind { pixels, reals, tokens };

// What one example looks like to a model.
struct ExampleShape {
  FeatureKind kind = FeatureKind::pixels;
  std::vector<std::int64_t> features;  // {1, 28, 28}: channels, height, width; {80}: a window of tokens
  std::int64_t labels = 1;             // class indices per example: 1, or one per token
  std::int64_t classes = 10;           // labels (and tokens) are in [0, classes)

  std::int64_t feature_count() const {
    std::int64_t count = 1;
    for (std::int64_t extent : features) count *= extent;
    return count;
  }
};

// Labelled examples with random access. Immutable and safe to read from many threads.
class ExampleSet {
 public:
  virtual ~ExampleSet() = default;
  virtual std::int64_t size() const = 0;
  virtual const ExampleShape& shape() const = 0;

  // Writes the examples `indices` one after another, `indices.size() * feature_count()` values and
  // `indices.size() * labels` class indices. Requires 0 <= index < size(). The overload that fits
  // shape().kind works (floats for pixels and reals, tokens for tokens); the other throws std::logic_error.
  virtual void gather(std::span<const std::int64_t> indices, float* features, std::int64_t* labels) const;
  virtual void gather(std::span<const std::int64_t> indices, std::int64_t* tokens,
                      std::int64_t* labels) const;
};

// A data set divided among clients, and its held-out test examples. Immutable and thread-safe; what a
// client's data costs in memory is paid while its ExampleSet is held.
class FederatedData {
 public:
  virtual ~FederatedData() = default;
  virtual const ExampleShape& shape() const = 0;
  virtual std::int64_t clients() const = 0;
  virtual std::int64_t examples(ClientId client) const = 0;  // n_k; cheap, nothing is loaded
  virtual std::shared_ptr<const ExampleSet> client(ClientId client) const = 0;
  virtual std::shared_ptr<const ExampleSet> test() const = 0;
};

// `data.dataset`. Factories throw FileError for a file that is missing, truncated, corrupt or refused, and
// ConfigError for settings that cannot work with the data (more clients than examples).
const Registry<FederatedData>& datasets();

}  // namespace gossamer
