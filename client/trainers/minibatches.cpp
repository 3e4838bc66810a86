#include "client/trainers/minibatches.h"

#include <torch/torch.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace gossamer {

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
  room_.allocate(examples_->shape(), std::min(batch_size_, kMicroBatch));
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
  room_.gather(*examples_, {order_.data() + position_, static_cast<std::size_t>(count)});
  part_.features = room_.features();
  part_.labels = room_.labels();
  part_.examples = count;
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

}  // namespace gossamer
