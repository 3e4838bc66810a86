#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "client/trainers/factor_rule.h"
#include "client/trainers/gradient_flow.h"
#include "comms/collectives/all_reduce.h"
#include "core/buffers.h"
#include "core/error.h"
#include "core/options.h"

namespace gossamer {

// An exchange that cannot go on, by the fault of a peer. Thrown, since it comes up in the middle of a
// backward pass; who runs the peer turns it into an end of the run.
class ExchangeBroken final : public Error {
 public:
  explicit ExchangeBroken(Fault fault) : Error(fault.reason, 3), fault_(std::move(fault)) {}
  const Fault& fault() const noexcept { return fault_; }

 private:
  Fault fault_;
};

struct ExchangeSettings {
  std::size_t bucket_floats;  // at least 1
  FactorRule factors{};
};
// `algorithm.sync_sgd.*`.
ExchangeSettings exchange_settings(const Options& options);

// Sums gradients over all peers while they are being computed: each part that the backward pass gives away
// (from the last layer to the first) is a bucket, whose sum starts at once and which the optimizer gets when
// it is complete; the next forward pass waits for the buckets of a layer just before it reads its parameters.
// So a gradient is never stored as a whole, unless sums are that slow. Of a layer that travels as its factors
// those of all peers are a bucket that is gathered, and where each peer makes some of its rows, these follow
// in buckets of their own at the end of the backward pass, when nothing else is left to compute. All peers
// have the same layers, so their collectives meet in order. One thread; what moves the bytes are calls. After
// an exception the collective may use this object's memory and the weights: they are to outlive that.
class GradientExchange final : public GradientFlow {
 public:
  // Rows of a weight, and the factors of all peers' examples as GradientFlow::factors() has them (zeros where
  // there are fewer examples).
  struct Product {
    const TensorSpec& weight;
    std::size_t row, rows;
    std::span<const float> factors;
  };
  // What is done with the sums: `begin` before the first bucket of a step, after the last one of the step
  // before; `apply` for each summed bucket once, in the order of their sums; `multiply` makes the optimizer's
  // step on these rows by their gradient, delta^T input.
  struct Step {
    std::function<void()> begin;
    std::function<void(std::size_t offset, std::span<const float> sum)> apply;
    std::function<void(const Product& product)> multiply;
  };
  // Called again and again while peers are waited for, with how often in a row nothing has moved. May throw,
  // which ends the exchange.
  using Idle = std::function<void(int turns)>;

  // Uses `all_reduce` and `topology`, except in its destructor.
  GradientExchange(AllReduce& all_reduce, const Topology& topology, ExchangeSettings settings, Idle idle);

  int world_size() const noexcept { return all_reduce_.world_size(); }

  // Sums values over the peers, all at once. Requires that no step is under way. Throws ExchangeBroken.
  void sum(std::span<float> values);

  // Opens steps of these parameters, which rows that others have made are written to.
  void open(std::span<float> parameters, Step step);
  // A step is: before_use() of what is read, then all parts. They throw ExchangeBroken.
  void before_use(std::size_t offset, std::size_t count) override;
  std::size_t longest_part() const noexcept override { return settings_.bucket_floats; }
  std::span<float> part(std::size_t offset, std::size_t count) override;
  std::span<float> factors(const TensorSpec& weight) override;
  void leave() override;
  // Waits for all sums of the last step. Throws ExchangeBroken.
  void close();

  // What this peer has sent and received since the last call.
  ExchangeBytes take_bytes();

 private:
  struct Bucket {
    enum class Kind { sum, factors, rows };
    Kind kind = Kind::sum;
    std::size_t offset = 0, count = 0;   // of the parameters
    std::size_t slot = 0;                // of a sum
    const TensorSpec* weight = nullptr;  // of factors
  };
  void come_next(std::size_t offset, std::size_t count);
  void use(const Bucket& bucket);
  std::span<float> sum_of(const Bucket& bucket) { return std::span(slots_[bucket.slot]).first(bucket.count); }
  void make_rows(const TensorSpec& weight);
  void start(std::span<float> values);
  void start_gather(std::span<float> values, std::size_t share);
  bool progress();
  void wait_for(std::size_t buckets);
  void wait_for_all();

  AllReduce& all_reduce_;
  const Topology& topology_;
  ExchangeSettings settings_;
  Idle idle_;

  // Memory of buckets. What was free last is taken first: it is still in a cache.
  std::vector<FloatBuffer> slots_;
  std::vector<std::size_t> free_slots_;
  std::map<std::size_t, FloatBuffer> factors_;  // of all peers, by the weight's offset
  FloatBuffer values_;                          // of sum()

  std::span<float> parameters_;
  Step step_;
  std::size_t end_ = 0;          // of the part that comes next in this step; 0: none
  Bucket open_part_;             // between part() or factors() and leave()
  std::vector<Bucket> buckets_;  // under way since the collective's last finish(); the first ...
  std::size_t applied_ = 0;      // ... so many have been given to the optimizer
  ExchangeBytes bytes_;
  std::map<std::pair<std::size_t, std::size_t>, ExchangeBytes> bytes_of_;  // by count and share, 0 of a sum
};

}  // namespace gossamer
