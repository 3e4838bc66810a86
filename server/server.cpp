#include "server/server.h"

#include "core/error.h"

namespace gossamer {
namespace {

bool says_within(const UpdateInfo& info) { return info.clip && info.clip->within == 1; }

}  // namespace

Server::Server(const Options& options, std::shared_ptr<const Parameters> initial)
    : uniform_weights_(options.text("server.weighting") == "uniform"),
      model_(std::move(initial)),
      up_(up_compressors().make(options, *model_->layout)),
      stream_(options, *model_->layout),
      aggregator_(aggregators().make(options)),
      correction_(corrections().make(options)),
      optimizer_(server_optimizers().make(options)),
      pseudo_gradient_(model_->layout->size()) {
  aggregator_->begin(model_->layout->size());
  const PrivacyPlan plan = privacy_plan(options);
  if (plan.placement == Placement::central) private_sum_.emplace(plan, model_->layout->parameter_count());
}

void Server::begin(Round round) {
  note(ShardOrder::Kind::begin);
  clear();
  round_ = round;
  if (private_sum_) reclipped_ = 0;
}

void Server::clear() {
  if (received_ == 0) return;
  if (private_sum_) {
    private_sum_->begin();
  } else {
    aggregator_->begin(model_->layout->size());
  }
  received_ = 0;
}

Result<std::monostate> Server::receive(const CompressedUpdate& update) {
  const double weight = weight_of(update.info);
  if (weight <= 0) return Fault{FaultKind::malformed, "an update that stands for nothing"};
  return receive(update, weight);
}

Result<std::monostate> Server::receive(const CompressedUpdate& update, double weight) {
  auto accumulated = accumulate(update, weight);
  if (accumulated) note(ShardOrder::Kind::add, update.info.client, update.info.round, weight);
  return accumulated;
}

Result<std::monostate> Server::receive_stale(const CompressedUpdate& update, double weight,
                                             const Parameters& base) {
  if (!correction_) {
    if (auto accumulated = accumulate(update, weight); !accumulated) return accumulated;
  } else {
    if (auto decoded = decode(update.content); !decoded) return decoded;
    correction_->correct(decoded_, model_->values, base.values);
    aggregator_->accumulate(decoded_, weight);
    ++received_;
  }
  note(ShardOrder::Kind::add_stale, update.info.client, update.info.round, weight);
  return std::monostate{};
}

Result<std::monostate> Server::decode(const Compressed& update) {
  decoded_.resize(model_->values.size());
  return up_->decompress(update, decoded_);
}

Result<std::monostate> Server::accumulate(const CompressedUpdate& update, double weight) {
  if (round_clip_norm() && !update.info.clip)
    return Fault{FaultKind::malformed, "an update that does not say whether it was clipped"};
  auto accumulated =
      private_sum_ ? decode(update.content) : aggregator_->accumulate(update.content, weight, *up_);
  if (!accumulated) return accumulated;
  if (private_sum_ && private_sum_->add(decoded_, says_within(update.info))) ++*reclipped_;
  ++received_;
  return accumulated;
}

void Server::commit(std::optional<double> denominator) {
  if (received_ == 0 && !private_sum_) return;
  note(denominator ? ShardOrder::Kind::commit_over : ShardOrder::Kind::commit, 0, 0, denominator.value_or(0));
  if (private_sum_) {
    private_sum_->finish(pseudo_gradient_, static_cast<std::uint64_t>(round_));
  } else {
    aggregator_->finish(pseudo_gradient_, denominator);
  }

  auto next = std::make_shared<Parameters>(*model_);
  const std::size_t trained = next->layout->parameter_count();
  const std::span<float> values = next->values;
  const std::span<const float> direction = pseudo_gradient_;
  optimizer_->step(values.first(trained), direction.first(trained));
  for (std::size_t i = trained; i < values.size(); ++i)
    values[i] += direction[i];  // statistics: the plain mean
  model_ = std::move(next);
  clear();
}

void Server::go_back_to(std::shared_ptr<const Parameters> version) {
  model_ = std::move(version);
  clear();
}

void Server::save(CheckpointWriter& writer) {
  writer.add_floats("model", model_->values);
  const auto& moments = optimizer_->state();
  writer.add_pod("moments", static_cast<std::uint64_t>(moments.size()));
  for (std::size_t i = 0; i < moments.size(); ++i)
    writer.add_floats("moment " + std::to_string(i), moments[i]);
  if (correction_) writer.add_floats("correction", correction_->state());
  if (const auto norm = round_clip_norm()) writer.add_pod("clip norm", *norm);
  stream_.save(writer);
}

void Server::restore(const CheckpointReader& reader) {
  const auto values = reader.floats("model");
  if (values.size() != model_->values.size()) {
    throw FileError("checkpoint: its model has " + std::to_string(values.size()) + " floats, this one has " +
                    std::to_string(model_->values.size()));
  }
  auto restored = std::make_shared<Parameters>(*model_);
  restored->values.assign(values.begin(), values.end());
  model_ = std::move(restored);
  auto& moments = optimizer_->state();
  moments.clear();
  const auto count = reader.pod<std::uint64_t>("moments");
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto moment = reader.floats("moment " + std::to_string(i));
    moments.emplace_back(moment.begin(), moment.end());
  }
  if (correction_) {
    const auto state = reader.floats("correction");
    correction_->state().assign(state.begin(), state.end());
  }
  if (round_clip_norm()) private_sum_->restore(reader.pod<double>("clip norm"));
  stream_.restore(reader);
}

double Server::weight_of(const UpdateInfo& info) const { return uniform_weights_ ? 1.0 : info.weight; }

}  // namespace gossamer
