#include "client/trainers/gradient_exchange.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace gossamer {

ExchangeSettings exchange_settings(const Options& options) {
  const auto kib = static_cast<std::size_t>(options.integer("algorithm.sync_sgd.bucket_kb"));
  return {kib * 1024 / sizeof(float), factor_rule(options)};
}

GradientExchange::GradientExchange(AllReduce& all_reduce, const Topology& topology, ExchangeSettings settings,
                                   Idle idle)
    : all_reduce_(all_reduce), topology_(topology), settings_(settings), idle_(std::move(idle)) {
  if (settings.bucket_floats == 0) throw std::logic_error("GradientExchange: buckets of nothing");
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

void GradientExchange::come_next(std::size_t offset, std::size_t count) {
  if (end_ == 0) {
    wait_for_all();
    step_.begin();
    end_ = parameters_;
  }
  if (count == 0 || offset + count != end_)
    throw std::logic_error("GradientExchange: a part that does not come next");
}

std::span<float> GradientExchange::part(std::size_t offset, std::size_t count) {
  if (count > settings_.bucket_floats) throw std::logic_error("GradientExchange: a part that is too long");
  come_next(offset, count);
  if (free_slots_.empty()) {
    free_slots_.push_back(slots_.size());
    slots_.emplace_back(settings_.bucket_floats);
  }
  open_part_ = {offset, count, free_slots_.back()};
  free_slots_.pop_back();
  return values_of(open_part_);
}

std::optional<GradientFlow::Factors> GradientExchange::factors(const TensorSpec& weight) {
  if (!settings_.factors.holds(weight)) return std::nullopt;
  come_next(weight.offset, weight.size);
  const std::size_t delta = settings_.factors.examples * static_cast<std::size_t>(weight.shape[0]);
  FloatBuffer& room = factors_[weight.offset];
  room.resize(settings_.factors.floats_of(weight));
  std::ranges::fill(room, 0.0F);
  open_part_ = {weight.offset, weight.size, 0, delta};
  // Every peer has its share of the rows.
  const auto self = static_cast<std::size_t>(all_reduce_.self());
  const auto share_of = [&](std::span<float> rows) {
    const std::size_t share = rows.size() / static_cast<std::size_t>(world_size());
    return rows.subspan(self * share, share);
  };
  return Factors{share_of(std::span(room).first(delta)), share_of(std::span(room).subspan(delta))};
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
  for (; applied_ < complete.value(); ++applied_) use(buckets_[applied_]);
  return true;
}

void GradientExchange::use(const Bucket& bucket) {
  const std::span<const float> values = values_of(bucket);
  if (bucket.delta != 0) {
    step_.multiply(bucket.offset, settings_.factors.examples, values.first(bucket.delta),
                   values.subspan(bucket.delta));
  } else {
    step_.apply(bucket.offset, values);
    free_slots_.push_back(bucket.slot);
  }
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
