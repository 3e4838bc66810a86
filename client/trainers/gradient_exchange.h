#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "client/trainers/gradient_flow.h"
#include "comms/collectives/all_reduce.h"
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

// `algorithm.sync_sgd.bucket_kb` in floats.
std::size_t bucket_floats(const Options& options);

// Sums gradients over all peers while they are being computed: the flat gradient is cut into buckets, each is
// summed as soon as the backward pass has left it behind (from the last layer to the first), and given to the
// optimizer when its sum is complete; the next forward pass waits for the buckets of a layer just before it
// reads its parameters. All peers use the same sizes, so their sums meet in order. One thread; what moves the
// bytes are calls.
class GradientExchange final : public GradientFlow {
 public:
  // What is done with the sums: `begin_step` before the first bucket of a step, after the last one of the
  // step before; `apply` for each bucket once, in the order of their sums.
  struct Step {
    std::function<void()> begin;
    std::function<void(std::size_t offset, std::span<const float> sum)> apply;
  };
  // Called again and again while peers are waited for, with how often in a row nothing has moved. May throw,
  // which ends the exchange.
  using Idle = std::function<void(int turns)>;

  // `all_reduce` and `topology` outlive it. Requires bucket_floats > 0.
  GradientExchange(AllReduce& all_reduce, const Topology& topology, std::size_t bucket_floats, Idle idle);

  int world_size() const noexcept { return all_reduce_.world_size(); }

  // Sums values over the peers, all at once. Requires that no step is under way. Throws ExchangeBroken.
  void sum(std::span<float> values);

  // Opens steps whose gradient is `gradient`, which the collective may use until close() has returned or,
  // after an exception, until it is destroyed.
  void open(std::span<float> gradient, Step step);
  // A step is: before_use() of what is read, the gradient's parts, final_from() down to 0. Both throw
  // ExchangeBroken.
  void before_use(std::size_t offset, std::size_t count) override;
  void final_from(std::size_t offset) override;
  // Waits for all sums of the last step. Throws ExchangeBroken.
  void close();

  // What this peer has sent and received since the last call.
  ExchangeBytes take_bytes();

 private:
  struct Bucket {
    std::size_t offset, count;
  };
  void start(std::span<float> values);
  bool progress();
  void wait_for(std::size_t buckets);
  void wait_for_all();

  AllReduce& all_reduce_;
  const Topology& topology_;
  std::size_t bucket_floats_;
  Idle idle_;

  std::span<float> gradient_;
  Step step_;
  std::size_t started_ = 0;      // the gradient from here on is in buckets of this step
  std::vector<Bucket> buckets_;  // under way since the collective's last finish(); the first ...
  std::size_t applied_ = 0;      // ... so many have been given to the optimizer
  ExchangeBytes bytes_;
  std::map<std::size_t, ExchangeBytes> bytes_of_;  // by a sum's count
};

}  // namespace gossamer
