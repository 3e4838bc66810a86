#include "client/trainers/gradient_exchange.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace gossamer {

std::size_t bucket_floats(const Options& options) {
  return static_cast<std::size_t>(options.integer("algorithm.sync_sgd.bucket_kb")) * 1024 / sizeof(float);
}

GradientExchange::GradientExchange(AllReduce& all_reduce, const Topology& topology, std::size_t bucket_floats,
                                   Idle idle)
    : all_reduce_(all_reduce), topology_(topology), bucket_floats_(bucket_floats), idle_(std::move(idle)) {
  if (bucket_floats == 0) throw std::logic_error("GradientExchange: buckets of nothing");
}

void GradientExchange::open(std::size_t parameters, Step step) {
  if (end_ != 0) throw std::logic_error("GradientExchange: the last step was not completed");
  parameters_ = parameters;
  step_ = std::move(step);
}

void GradientExchange::sum(std::span<float> values) {
  wait_for_all();
  values_.assign(values.begin(), values.end());
  start(values_);
  for (int turns = 0;;) {
    const auto complete = all_reduce_.progress();
    if (!complete) throw ExchangeBroken(complete.fault());
    if (complete.value() == 1) break;
    idle_(turns++);
  }
  static_cast<void>(all_reduce_.finish(AllReduce::Clock::now()));
  std::ranges::copy(values_, values.begin());
}

void GradientExchange::before_use(std::size_t offset, std::size_t count) {
  // Sums end in the order in which they began: the last bucket that reaches in here comes after the others.
  std::size_t needed = buckets_.size();
  while (needed > applied_) {
    const Bucket& bucket = buckets_[needed - 1];
    if (bucket.offset < offset + count && offset < bucket.offset + bucket.count) break;
    --needed;
  }
  wait_for(needed);
}

std::span<float> GradientExchange::part(std::size_t offset, std::size_t count) {
  if (end_ == 0) {
    wait_for_all();
    step_.begin();
    end_ = parameters_;
  }
  if (count == 0 || count > bucket_floats_ || offset + count != end_)
    throw std::logic_error("GradientExchange: a part that does not come next");
  if (free_slots_.empty()) {
    free_slots_.push_back(slots_.size());
    slots_.emplace_back(bucket_floats_);
  }
  open_part_ = {offset, count, free_slots_.back()};
  free_slots_.pop_back();
  return values_of(open_part_);
}

void GradientExchange::leave() {
  end_ = open_part_.offset;
  buckets_.push_back(open_part_);
  start(values_of(open_part_));
  progress();
}

void GradientExchange::close() {
  if (end_ != 0) throw std::logic_error("GradientExchange: a step was not completed");
  wait_for_all();
  step_ = {};
}

ExchangeBytes GradientExchange::take_bytes() { return std::exchange(bytes_, {}); }

void GradientExchange::start(std::span<float> values) {
  const auto [entry, is_new] = bytes_of_.try_emplace(values.size());
  if (is_new)
    entry->second = all_reduce_bytes(topology_, all_reduce_.self(), all_reduce_.world_size(), values.size());
  bytes_.sent += entry->second.sent;
  bytes_.received += entry->second.received;
  all_reduce_.start(values);
}

// False where nothing new is complete.
bool GradientExchange::progress() {
  const auto complete = all_reduce_.progress();
  if (!complete) throw ExchangeBroken(complete.fault());
  if (complete.value() == applied_) return false;
  for (; applied_ < complete.value(); ++applied_) {
    const Bucket& bucket = buckets_[applied_];
    step_.apply(bucket.offset, values_of(bucket));
    free_slots_.push_back(bucket.slot);
  }
  return true;
}

void GradientExchange::wait_for(std::size_t buckets) {
  for (int turns = 0; applied_ < buckets;) {
    if (progress()) {
      turns = 0;
    } else {
      idle_(turns++);
    }
  }
}

void GradientExchange::wait_for_all() {
  wait_for(buckets_.size());
  buckets_.clear();
  applied_ = 0;
  const auto finished = all_reduce_.finish(AllReduce::Clock::now());
  if (!finished) throw ExchangeBroken(finished.fault());
}

}  // namespace gossamer
