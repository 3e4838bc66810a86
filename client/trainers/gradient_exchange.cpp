#include "client/trainers/gradient_exchange.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace gossamer {
namespace {

// A product of few rows spends its time on bringing the input into order: rows go by so many buckets at once.
constexpr std::size_t kRowBuckets = 16;

}  // namespace

ExchangeSettings exchange_settings(const Options& options) {
  const auto kib = static_cast<std::size_t>(options.integer("algorithm.sync_sgd.bucket_kb"));
  return {kib * 1024 / sizeof(float), factor_rule(options)};
}

GradientExchange::GradientExchange(AllReduce& all_reduce, const Topology& topology, ExchangeSettings settings,
                                   Idle idle)
    : all_reduce_(all_reduce), topology_(topology), settings_(settings), idle_(std::move(idle)) {
  if (settings.bucket_floats == 0) throw std::logic_error("GradientExchange: buckets of nothing");
}

void GradientExchange::open(std::span<float> parameters, Step step) {
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
    end_ = parameters_.size();
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
  open_part_ = {Bucket::Kind::sum, offset, count, free_slots_.back(), nullptr};
  free_slots_.pop_back();
  return sum_of(open_part_);
}

std::span<float> GradientExchange::factors(const TensorSpec& weight) {
  const FactorRule& rule = settings_.factors;
  if (rule.way_of(weight) == DenseWay::gradient) return {};
  if (rule.peers != static_cast<std::size_t>(world_size()))
    throw std::logic_error("GradientExchange: factors of another number of peers");
  come_next(weight.offset, weight.size);
  FloatBuffer& all = factors_[weight.offset];
  all.resize(rule.table_of(weight));
  const std::size_t share = all.size() / rule.peers;
  const std::span<float> own =
      std::span(all).subspan(static_cast<std::size_t>(all_reduce_.self()) * share, share);
  std::ranges::fill(own, 0.0F);
  open_part_ = {Bucket::Kind::factors, weight.offset, weight.size, 0, &weight};
  return own;
}

void GradientExchange::leave() {
  end_ = open_part_.offset;
  buckets_.push_back(open_part_);
  if (open_part_.kind == Bucket::Kind::factors) {
    FloatBuffer& all = factors_.at(open_part_.offset);
    start_gather(all, all.size() / settings_.factors.peers);
  } else {
    start(sum_of(open_part_));
  }
  progress();
  if (end_ != 0) return;
  // The first layers' rows come first, which the next forward pass reads first.
  for (std::size_t i = buckets_.size(); i-- > 0;) {
    const TensorSpec* weight = buckets_[i].weight;
    if (weight == nullptr || settings_.factors.way_of(*weight) != DenseWay::rows) continue;
    wait_for(i + 1);
    make_rows(*weight);
  }
}

// Each peer has some of the rows of each bucket, so that all of them gather while they multiply.
void GradientExchange::make_rows(const TensorSpec& weight) {
  const auto all = static_cast<std::size_t>(weight.shape[0]);
  const auto columns = static_cast<std::size_t>(weight.shape[1]);
  const auto peers = static_cast<std::size_t>(world_size());
  const auto self = static_cast<std::size_t>(all_reduce_.self());
  // As even as it can be: the last bucket is as long as the others.
  const std::size_t most = std::max(peers, kRowBuckets * settings_.bucket_floats / columns);
  const std::size_t parts = peers * ((all + most - 1) / most);
  const std::size_t share = (all + parts - 1) / parts;
  for (std::size_t row = 0; row < all; row += share * peers) {
    const std::size_t end = std::min(all, row + share * peers);
    const std::size_t begin = std::min(end, row + self * share);
    if (begin < end)
      step_.multiply({weight, begin, std::min(share, end - begin), factors_.at(weight.offset)});
    const Bucket bucket{Bucket::Kind::rows, weight.offset + row * columns, (end - row) * columns, 0, nullptr};
    buckets_.push_back(bucket);
    start_gather(parameters_.subspan(bucket.offset, bucket.count), share * columns);
    progress();
  }
}

void GradientExchange::close() {
  if (end_ != 0) throw std::logic_error("GradientExchange: a step was not completed");
  wait_for_all();
  step_ = {};
}

ExchangeBytes GradientExchange::take_bytes() { return std::exchange(bytes_, {}); }

void GradientExchange::start(std::span<float> values) {
  const auto [entry, is_new] = bytes_of_.try_emplace({values.size(), 0});
  if (is_new)
    entry->second = all_reduce_bytes(topology_, all_reduce_.self(), all_reduce_.world_size(), values.size());
  bytes_ += entry->second;
  all_reduce_.start(values);
}

void GradientExchange::start_gather(std::span<float> values, std::size_t share) {
  const auto [entry, is_new] = bytes_of_.try_emplace({values.size(), share});
  if (is_new)
    entry->second =
        gather_bytes(topology_, all_reduce_.self(), all_reduce_.world_size(), values.size(), share);
  bytes_ += entry->second;
  all_reduce_.start_gather(values, share);
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
  if (bucket.kind == Bucket::Kind::sum) {
    step_.apply(bucket.offset, sum_of(bucket));
    free_slots_.push_back(bucket.slot);
  }
  if (bucket.kind == Bucket::Kind::factors && settings_.factors.way_of(*bucket.weight) == DenseWay::factors)
    step_.multiply(
        {*bucket.weight, 0, static_cast<std::size_t>(bucket.weight->shape[0]), factors_.at(bucket.offset)});
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
