#include "server/coordinator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/flow_coordinator.h"
#include "server/lockstep_coordinator.h"

namespace gossamer {

std::int64_t cohort_size(const Options& options) {
  const std::int64_t clients = options.integer("data.clients");
  const std::int64_t size = options.integer("cohort.size");
  if (size > 0) return std::min(size, clients);
  const double share = options.real("cohort.fraction") * static_cast<double>(clients);
  return std::clamp<std::int64_t>(std::llround(share), 1, clients);
}

std::unique_ptr<Coordinator> make_coordinator(const Options& options,
                                              std::shared_ptr<const Parameters> initial, Children children) {
  if (sync_policies().make(options)->lockstep()) {
    return std::make_unique<LockstepCoordinator>(options, std::move(initial), children);
  }
  return std::make_unique<FlowCoordinator>(options, std::move(initial), children);
}

Coordinator::Coordinator(const Options& options, std::shared_ptr<const Parameters> initial, Children children)
    : sync_(sync_policies().make(options)),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      rounds_(options.integer("run.rounds")),
      cohort_size_(cohort_size(options)),
      min_size_(options.integer("cohort.min_size")),
      server_(options, std::move(initial)),
      members_(children, options.integer("data.clients")),
      target_accuracy_(options.real("run.target_accuracy")),
      conceals_(privacy_plan(options).is_private()) {}

Actions Coordinator::committed(std::optional<double> accuracy, Seconds now) {
  if (finished_) return {};
  if (target_accuracy_ > 0 && accuracy && *accuracy >= target_accuracy_)
    return finish(true, "target_accuracy");
  return go_on(now);
}

void Coordinator::rebase(std::shared_ptr<const Parameters> model, Round) {
  server_.go_back_to(std::move(model));
}

Actions Coordinator::finish(bool success, std::string reason) {
  finished_ = true;
  return {Finish{success, std::move(reason)}};
}

void Coordinator::open_round() {
  progress_.round = version_ + 1;
  metrics_ = {};
  metrics_.round = progress_.round;
  metrics_.clip_norm = server_.round_clip_norm();
  updates_ = 0;
  loss_sum_ = 0;
  weight_sum_ = 0;
  staleness_sum_ = 0;
}

void Coordinator::count_update(const UpdateInfo& info, Round staleness) {
  if (info.subtree && members_.children().are_aggregators) {
    metrics_.clients += static_cast<std::int64_t>(info.subtree->clients);
    metrics_.dropped += static_cast<std::int64_t>(info.subtree->dropped);
    metrics_.rejected += static_cast<std::int64_t>(info.subtree->rejected);
    metrics_.bytes_up += static_cast<std::uint64_t>(info.subtree->bytes_up);
    metrics_.bytes_down += static_cast<std::uint64_t>(info.subtree->bytes_down);
  } else {
    ++metrics_.clients;
  }
  ++updates_;
  weight_sum_ += server_.weight_of(info);
  metrics_.samples += info.samples;
  loss_sum_ += info.train_loss * static_cast<double>(info.samples);
  staleness_sum_ += static_cast<double>(staleness);
  metrics_.staleness_max = std::max(metrics_.staleness_max, staleness);
}

Commit Coordinator::close_round(Seconds now) {
  version_ = progress_.round;
  metrics_.time_s = now;
  metrics_.reclipped = server_.reclipped();
  if (conceals_) metrics_.train_loss = std::numeric_limits<double>::quiet_NaN();
  if (metrics_.samples > 0) metrics_.train_loss = loss_sum_ / static_cast<double>(metrics_.samples);
  if (updates_ > 0) metrics_.staleness_mean = staleness_sum_ / static_cast<double>(updates_);
  return {metrics_, false, weight_sum_};
}

void Coordinator::save(CheckpointWriter& writer) {
  writer.add_pod("version", version_);
  server_.save(writer);
}

void Coordinator::restore(const CheckpointReader& reader) {
  version_ = reader.pod<Round>("version");
  server_.restore(reader);
}

}  // namespace gossamer
