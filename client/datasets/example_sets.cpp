#include "client/datasets/example_sets.h"

#include <algorithm>
#include <array>

#include "core/simd.h"

namespace gossamer {
namespace {

GOSSAMER_MULTIVERSION
void pixels_to_floats_loop(const std::uint8_t* __restrict in, float* __restrict out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<float>(in[i]) / 255.0F;
}

// The part of a shared set that one client has.
class Subset final : public ExampleSet {
 public:
  Subset(std::shared_ptr<const ExampleSet> whole, std::shared_ptr<const Division> division, ClientId client)
      : whole_(std::move(whole)), division_(std::move(division)), indices_(division_->of(client)) {}

  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  const ExampleShape& shape() const override { return whole_->shape(); }
  void gather(std::span<const std::int64_t> indices, float* features, std::int64_t* labels) const override {
    gather_from_whole(indices, features, labels);
  }
  void gather(std::span<const std::int64_t> indices, std::int64_t* tokens,
              std::int64_t* labels) const override {
    gather_from_whole(indices, tokens, labels);
  }

 private:
  template <class Feature>
  void gather_from_whole(std::span<const std::int64_t> indices, Feature* features,
                         std::int64_t* labels) const {
    constexpr std::size_t kChunk = 128;
    std::array<std::int64_t, kChunk> translated{};
    while (!indices.empty()) {
      const std::size_t count = std::min(kChunk, indices.size());
      for (std::size_t i = 0; i < count; ++i) translated[i] = indices_[static_cast<std::size_t>(indices[i])];
      whole_->gather(std::span(translated).first(count), features, labels);
      features += static_cast<std::int64_t>(count) * shape().feature_count();
      labels += static_cast<std::int64_t>(count) * shape().labels;
      indices = indices.subspan(count);
    }
  }

  std::shared_ptr<const ExampleSet> whole_;
  std::shared_ptr<const Division> division_;
  std::span<const std::uint32_t> indices_;
};

}  // namespace

void pixels_to_floats(std::span<const std::uint8_t> pixels, float* floats) {
  pixels_to_floats_loop(pixels.data(), floats, pixels.size());
}

PixelExamples::PixelExamples(ExampleShape shape, PixelBytes pixels, std::vector<std::int32_t> labels)
    : shape_(std::move(shape)), pixels_(std::move(pixels)), labels_(std::move(labels)) {}

void PixelExamples::gather(std::span<const std::int64_t> indices, float* features,
                           std::int64_t* labels) const {
  const auto width = static_cast<std::size_t>(shape_.feature_count());
  for (std::int64_t index : indices) {
    const auto i = static_cast<std::size_t>(index);
    pixels_to_floats(pixels_.values().subspan(i * width, width), features);
    features += width;
    *labels++ = labels_[i];
  }
}

RealExamples::RealExamples(ExampleShape shape, std::vector<float> values, std::vector<std::int32_t> labels)
    : shape_(std::move(shape)), values_(std::move(values)), labels_(std::move(labels)) {}

void RealExamples::gather(std::span<const std::int64_t> indices, float* features,
                          std::int64_t* labels) const {
  const auto width = static_cast<std::size_t>(shape_.feature_count());
  for (std::int64_t index : indices) {
    const auto i = static_cast<std::size_t>(index);
    features = std::ranges::copy(std::span(values_).subspan(i * width, width), features).out;
    *labels++ = labels_[i];
  }
}

TokenExamples::TokenExamples(ExampleShape shape, std::shared_ptr<const std::vector<std::uint8_t>> tokens,
                             std::vector<std::uint32_t> starts)
    : shape_(std::move(shape)), tokens_(std::move(tokens)), starts_(std::move(starts)) {}

void TokenExamples::gather(std::span<const std::int64_t> indices, std::int64_t* tokens,
                           std::int64_t* labels) const {
  const auto window = static_cast<std::size_t>(shape_.feature_count());
  for (std::int64_t index : indices) {
    const auto text = std::span(*tokens_).subspan(starts_[static_cast<std::size_t>(index)], window + 1);
    tokens = std::ranges::copy(text.first(window), tokens).out;
    labels = std::ranges::copy(text.last(window), labels).out;
  }
}

DividedData::DividedData(std::shared_ptr<const ExampleSet> train, std::shared_ptr<const ExampleSet> test,
                         Division division)
    : train_(std::move(train)),
      test_(std::move(test)),
      division_(std::make_shared<const Division>(std::move(division))) {}

std::shared_ptr<const ExampleSet> DividedData::client(ClientId client) const {
  return std::make_shared<Subset>(train_, division_, client);
}

std::unique_ptr<FederatedData> divide_labelled(const Options& options, const std::string& dataset,
                                               std::shared_ptr<const ExampleSet> train,
                                               std::span<const std::int32_t> labels,
                                               std::shared_ptr<const ExampleSet> test) {
  PartitionTask task;
  task.dataset = dataset;
  task.examples = train->size();
  task.classes = train->shape().classes;
  task.labels = labels;
  task.clients = options.integer("data.clients");
  task.seed = static_cast<std::uint64_t>(options.integer("run.seed"));
  Division division = partitions().make(options)->divide(task);
  return std::make_unique<DividedData>(std::move(train), std::move(test), std::move(division));
}

}  // namespace gossamer
