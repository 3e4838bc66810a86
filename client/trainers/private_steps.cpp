#include "client/trainers/private_steps.h"

#include <cmath>
#include <stdexcept>
#include <vector>

#include "client/trainers/minibatches.h"

namespace gossamer {
namespace {

std::vector<double> lot_bounds(const Options& options, const PrivacyPlan& plan, std::size_t layers) {
  if (options.text("privacy.clipping") != "per_layer") return {plan.clip_norm};
  return std::vector<double>(layers, plan.clip_norm / std::sqrt(static_cast<double>(layers)));
}

}  // namespace

PrivateSteps::PrivateSteps(const Options& options, const PrivacyPlan& plan, Model& model)
    : plan_(plan),
      gradients_(make_clipped_gradients(model)),
      step_(*gradients_, lot_bounds(options, plan, gradients_->layers()), plan.noise_multiplier,
            plan.nominal_lot),
      lots_(Minibatches::kMicroBatch) {}

void PrivateSteps::begin(const TrainTask& task) {
  source_ = make_noise_source(plan_, static_cast<std::uint64_t>(task.client),
                              static_cast<std::uint64_t>(task.round));
  lots_.start(task.examples, plan_.sampling_rate,
              [this](std::span<std::uint64_t> words) { source_->fill(std::as_writable_bytes(words)); });
  left_ = most();
  not_finite_ = 0;
}

NoisyGradient& PrivateSteps::next() {
  if (left_ == 0) throw std::logic_error("more private steps than are accounted for");
  --left_;
  lots_.draw();
  while (const auto part = lots_.next()) step_.add(part->features, part->labels);
  NoisyGradient& gradient = step_.finish(*source_);
  not_finite_ += step_.last().not_finite;
  return gradient;
}

}  // namespace gossamer
