#include "client/trainers/batch_room.h"

#include <torch/torch.h>

#include <vector>

namespace gossamer {
namespace {

bool same_examples(const ExampleShape& a, const ExampleShape& b) {
  return a.kind == b.kind && a.features == b.features && a.labels == b.labels;
}

}  // namespace

void BatchRoom::allocate(const ExampleShape& shape, std::int64_t examples) {
  if (feature_room_.defined() && same_examples(shape, shape_) && examples <= feature_room_.size(0)) return;
  shape_ = shape;
  std::vector<std::int64_t> extents{examples};
  extents.insert(extents.end(), shape.features.begin(), shape.features.end());
  feature_room_ = at::empty(extents, shape.kind == FeatureKind::tokens ? at::kLong : at::kFloat);
  label_room_ = at::empty({examples * shape.labels}, at::kLong);
  gathered_ = -1;
}

void BatchRoom::gather(const ExampleSet& examples, std::span<const std::int64_t> indices) {
  const auto count = static_cast<std::int64_t>(indices.size());
  if (count != gathered_) {
    features_ = feature_room_.narrow(0, 0, count);
    labels_ = label_room_.narrow(0, 0, count * shape_.labels);
    gathered_ = count;
  }
  auto* labels = label_room_.data_ptr<std::int64_t>();
  if (shape_.kind == FeatureKind::tokens) {
    examples.gather(indices, feature_room_.data_ptr<std::int64_t>(), labels);
  } else {
    examples.gather(indices, feature_room_.data_ptr<float>(), labels);
  }
}

}  // namespace gossamer
