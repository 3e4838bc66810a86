#include "client/trainers/minibatches.h"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace gossamer {
namespace {

bool same_examples(const ExampleShape& a, const ExampleShape& b) {
  return a.kind == b.kind && a.features == b.features && a.labels == b.labels;
}

}  // namespace

void Minibatches::start(std::shared_ptr<const ExampleSet> examples, std::int64_t batch_size, Rng rng) {
  if (examples->size() <= 0) throw std::logic_error("minibatches of a client without examples");
  // Back to the identity, so that the order depends on this client's stream alone.
  if (!whole_epoch_ && size_ == examples->size()) {
    for (std::int64_t i = drawn_ - 1; i >= 0; --i) std::swap(order_[i], order_[swaps_[i]]);
  } else {
    order_.resize(examples->size());
    std::iota(order_.begin(), order_.end(), 0);
  }
  examples_ = std::move(examples);
  rng_ = rng;
  size_ = examples_->size();
  batch_size_ = batch_size == 0 ? size_ : std::min(batch_size, size_);
  // The order of the examples of one and the same batch makes no difference.
  shuffled_ = batch_size_ < size_;
  position_ = batch_end_ = drawn_ = 0;
  whole_epoch_ = false;
  swaps_.clear();
  allocate(examples_->shape(), std::min(batch_size_, kMicroBatch));
}

const Minibatches::Part& Minibatches::next() {
  if (position_ == batch_end_) {
    if (position_ == size_) begin_epoch();
    batch_end_ = std::min(position_ + batch_size_, size_);
    part_.batch_examples = batch_end_ - position_;
    part_.first = true;
  } else {
    part_.first = false;
  }
  const std::int64_t count = std::min(batch_end_ - position_, kMicroBatch);
  if (shuffled_) draw(position_ + count);
  if (part_.examples != count) view(count);
  const std::span<const std::int64_t> indices{order_.data() + position_, static_cast<std::size_t>(count)};
  auto* labels = labels_.data_ptr<std::int64_t>();
  if (shape_.kind == FeatureKind::tokens) {
    examples_->gather(indices, features_.data_ptr<std::int64_t>(), labels);
  } else {
    examples_->gather(indices, features_.data_ptr<float>(), labels);
  }
  position_ += count;
  part_.last = position_ == batch_end_;
  return part_;
}

void Minibatches::begin_epoch() {
  position_ = drawn_ = 0;
  whole_epoch_ = shuffled_;
}

void Minibatches::draw(std::int64_t end) {
  for (; drawn_ < end; ++drawn_) {
    const auto left = static_cast<std::uint64_t>(size_ - drawn_);
    const std::int64_t partner = drawn_ + static_cast<std::int64_t>(rng_.below(left));
    std::swap(order_[drawn_], order_[partner]);
    if (!whole_epoch_) swaps_.push_back(partner);
  }
}

void Minibatches::allocate(const ExampleShape& shape, std::int64_t examples) {
  if (features_.defined() && same_examples(shape, shape_) && examples <= features_.size(0)) return;
  shape_ = shape;
  std::vector<std::int64_t> extents{examples};
  extents.insert(extents.end(), shape.features.begin(), shape.features.end());
  features_ = at::empty(extents, shape.kind == FeatureKind::tokens ? at::kLong : at::kFloat);
  labels_ = at::empty({examples * shape.labels}, at::kLong);
  part_.examples = 0;
}

void Minibatches::view(std::int64_t examples) {
  part_.examples = examples;
  part_.features = features_.narrow(0, 0, examples);
  part_.labels = labels_.narrow(0, 0, examples * shape_.labels);
}

}  // namespace gossamer
