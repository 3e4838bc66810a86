#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "client/datasets/dataset.h"
#include "client/trainers/batch_room.h"
#include "core/rng.h"

namespace gossamer {

// The batches of one client's local work: epoch after epoch over its examples, each in an order of its own,
// the last batch of an epoch as small as what is left. A batch of more than kMicroBatch examples comes in
// parts, so that memory is bounded whatever client.batch_size is. Memory is kept between clients. Not
// thread-safe.
class Minibatches {
 public:
  static constexpr std::int64_t kMicroBatch = 1000;

  // A part of a batch, views into memory that the next call overwrites: features [examples, shape...],
  // labels [examples * labels].
  struct Part {
    at::Tensor features, labels;
    std::int64_t examples = 0;
    std::int64_t batch_examples = 0;   // of the whole batch
    bool first = false, last = false;  // of the batch
  };

  // `batch_size` 0 takes all examples. Requires examples->size() > 0.
  void start(std::shared_ptr<const ExampleSet> examples, std::int64_t batch_size, Rng rng);
  std::int64_t batches_per_epoch() const noexcept { return (size_ + batch_size_ - 1) / batch_size_; }
  // How many examples the i-th batch of an epoch has. Requires i < batches_per_epoch().
  std::int64_t size_of(std::int64_t i) const noexcept {
    return std::min(batch_size_, size_ - i * batch_size_);
  }
  // Whether next() returns a whole batch.
  bool next_is_whole() const noexcept { return position_ == batch_end_ && batch_size_ <= kMicroBatch; }
  const Part& next();

 private:
  void begin_epoch();
  void draw(std::int64_t end);

  std::shared_ptr<const ExampleSet> examples_;
  Rng rng_{0, Purpose::shuffle};
  std::int64_t size_ = 0;
  std::int64_t batch_size_ = 1;
  std::int64_t position_ = 0;   // in the epoch: examples given out
  std::int64_t batch_end_ = 0;  // of the batch that is being given out
  bool shuffled_ = false;

  // A permutation of 0 .. size_ - 1. Positions before drawn_ are shuffled (Fisher and Yates, only as far as
  // is needed); swaps_ holds the partners of those, so that a short piece of work can be undone without
  // touching the rest.
  std::vector<std::int64_t> order_;
  std::vector<std::int64_t> swaps_;
  std::int64_t drawn_ = 0;
  bool whole_epoch_ = false;  // more than swaps_ remembers was shuffled

  BatchRoom room_;  // for the largest part so far
  Part part_;
};

}  // namespace gossamer
