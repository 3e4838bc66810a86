#include "server/server.h"

#include "core/rng.h"

namespace gossamer {

Server::Server(const Options& options, std::shared_ptr<const Parameters> initial)
    : seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      uniform_weights_(options.text("server.weighting") == "uniform"),
      model_(std::move(initial)),
      up_(up_compressors().make(options)),
      down_(down_compressors().make(options)),
      aggregator_(aggregators().make(options)),
      optimizer_(server_optimizers().make(options)),
      pseudo_gradient_(model_->layout->size()) {}

Compressed Server::begin_round() {
  aggregator_->begin(model_->layout->size());
  received_ = 0;
  Rng rng(seed_, Purpose::compression);
  return down_->compress({model_, model_->values}, rng);
}

Result<std::monostate> Server::receive(const CompressedUpdate& update) {
  auto accumulated = aggregator_->accumulate(update.content, weight_of(update.info), *up_);
  if (accumulated) ++received_;
  return accumulated;
}

void Server::commit() {
  if (received_ == 0) return;
  aggregator_->finish(pseudo_gradient_);

  auto next = std::make_shared<Parameters>(*model_);
  const std::size_t trained = next->layout->parameter_count();
  const std::span<float> values = next->values;
  const std::span<const float> direction = pseudo_gradient_;
  optimizer_->step(values.first(trained), direction.first(trained));
  for (std::size_t i = trained; i < values.size(); ++i)
    values[i] += direction[i];  // statistics: the plain mean
  model_ = std::move(next);
}

void Server::restore(FloatBuffer values) {
  auto restored = std::make_shared<Parameters>(*model_);
  restored->values = std::move(values);
  model_ = std::move(restored);
}

double Server::weight_of(const UpdateInfo& info) const { return uniform_weights_ ? 1.0 : info.weight; }

}  // namespace gossamer
