#pragma once

#include <cstdint>
#include <memory>

#include "client/trainers/dp_sgd.h"
#include "client/trainers/poisson_lots.h"
#include "client/trainers/trainer.h"
#include "privacy/privacy_plan.h"

namespace gossamer {

// privacy.placement = example: the gradients that a client's work is made of, each of a Poisson lot of its
// examples, clipped, summed, with noise. A client without examples gives the same number of them, of empty
// lots: whether it has some is not told. Lots and noise come from one source of the (client, round). Not
// thread-safe.
class PrivateSteps {
 public:
  // The model outlives this. Throws ConfigError for a model with batch norm.
  PrivateSteps(const Options& options, const PrivacyPlan& plan, Model& model);

  void begin(const TrainTask& task);
  // What is accounted for: as many gradients as next() gives after begin(), at most. For every client.
  std::int64_t most() const noexcept { return static_cast<std::int64_t>(plan_.steps); }
  // The gradient of the next lot, at the model's values as they are; it holds until the next call. Throws
  // std::logic_error beyond most().
  NoisyGradient& next();
  // Examples since begin() whose gradients were not finite.
  std::int64_t not_finite() const noexcept { return not_finite_; }

 private:
  PrivacyPlan plan_;
  std::unique_ptr<ClippedGradients> gradients_;
  DpSgdStep step_;
  PoissonLots lots_;
  std::unique_ptr<NoiseSource> source_;
  std::int64_t left_ = 0;
  std::int64_t not_finite_ = 0;
};

}  // namespace gossamer
