#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "client/datasets/dataset.h"
#include "client/datasets/partition.h"
#include "core/options.h"

namespace gossamer {

// Bytes as they came from a file, of which the values start at `offset` (behind a header), so that a large
// file is held once and not copied.
struct PixelBytes {
  std::vector<std::uint8_t> bytes;
  std::size_t offset = 0;

  std::span<const std::uint8_t> values() const { return std::span(bytes).subspan(offset); }
};

// Writes values / 255.
void pixels_to_floats(std::span<const std::uint8_t> pixels, float* floats);

// Examples whose features are bytes. Requires shape.feature_count() pixels for each label.
class PixelExamples final : public ExampleSet {
 public:
  PixelExamples(ExampleShape shape, PixelBytes pixels, std::vector<std::int32_t> labels);
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  const ExampleShape& shape() const override { return shape_; }
  void gather(std::span<const std::int64_t> indices, float* features, std::int64_t* labels) const override;
  using ExampleSet::gather;
  std::span<const std::int32_t> labels() const { return labels_; }

 private:
  ExampleShape shape_;
  PixelBytes pixels_;
  std::vector<std::int32_t> labels_;
};

// Examples whose features are floats. Requires shape.feature_count() values for each label.
class RealExamples final : public ExampleSet {
 public:
  RealExamples(ExampleShape shape, std::vector<float> values, std::vector<std::int32_t> labels);
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  const ExampleShape& shape() const override { return shape_; }
  void gather(std::span<const std::int64_t> indices, float* features, std::int64_t* labels) const override;
  using ExampleSet::gather;
  std::span<const std::int32_t> labels() const { return labels_; }

 private:
  ExampleShape shape_;
  std::vector<float> values_;
  std::vector<std::int32_t> labels_;
};

// Windows of a text: the example at start s is the tokens s .. s + window - 1, and its labels are the tokens
// one further. Requires that every start + window is a position of the text.
class TokenExamples final : public ExampleSet {
 public:
  TokenExamples(ExampleShape shape, std::shared_ptr<const std::vector<std::uint8_t>> tokens,
                std::vector<std::uint32_t> starts);
  std::int64_t size() const override { return static_cast<std::int64_t>(starts_.size()); }
  const ExampleShape& shape() const override { return shape_; }
  void gather(std::span<const std::int64_t> indices, std::int64_t* tokens,
              std::int64_t* labels) const override;
  using ExampleSet::gather;

 private:
  ExampleShape shape_;
  std::shared_ptr<const std::vector<std::uint8_t>> tokens_;
  std::vector<std::uint32_t> starts_;
};

// Examples that exist as a whole, divided among clients: a client's set is a list of indices into the shared
// examples.
class DividedData final : public FederatedData {
 public:
  DividedData(std::shared_ptr<const ExampleSet> train, std::shared_ptr<const ExampleSet> test,
              Division division);
  const ExampleShape& shape() const override { return train_->shape(); }
  std::int64_t clients() const override { return division_->clients(); }
  std::int64_t examples(ClientId client) const override {
    return static_cast<std::int64_t>(division_->of(client).size());
  }
  std::shared_ptr<const ExampleSet> client(ClientId client) const override;
  std::shared_ptr<const ExampleSet> test() const override { return test_; }

 private:
  std::shared_ptr<const ExampleSet> train_;
  std::shared_ptr<const ExampleSet> test_;
  std::shared_ptr<const Division> division_;
};

// Divides examples with one label each by the chosen partition and data.clients.
std::unique_ptr<FederatedData> divide_labelled(const Options& options, const std::string& dataset,
                                               std::shared_ptr<const ExampleSet> train,
                                               std::span<const std::int32_t> labels,
                                               std::shared_ptr<const ExampleSet> test);

}  // namespace gossamer
