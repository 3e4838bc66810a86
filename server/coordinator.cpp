#include "server/coordinator.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/straggler.h"

namespace gossamer {
std::int64_t cohort_size(const Options& options) {
  const std::int64_t clients = options.integer("data.clients");
  const std::int64_t size = options.integer("cohort.size");
  if (size > 0) return std::min(size, clients);
  const double share = options.real("cohort.fraction") * static_cast<double>(clients);
  return std::clamp<std::int64_t>(std::llround(share), 1, clients);
}

Coordinator::Coordinator(const Options& options, std::shared_ptr<const Parameters> initial)
    : sync_(sync_policies().make(options)),
      sampler_(cohort_samplers().make(options)),
      server_(options, std::move(initial)),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      rounds_(options.integer("run.rounds")),
      cohort_size_(cohort_size(options)),
      min_size_(options.integer("cohort.min_size")),
      deadline_s_(options.real("cohort.deadline_s")),
      target_accuracy_(options.real("run.target_accuracy")),
      straggler_fraction_(options.real("devices.straggler_fraction")),
      keeps_partial_work_(options.text("algorithm.name") == "fedprox"),
      present_(static_cast<std::size_t>(options.integer("data.clients"))) {}

Actions Coordinator::joined(ClientId client, Seconds now) {
  const auto index = static_cast<std::size_t>(client);
  if (finished_) return {};
  if (!present_[index]) {
    present_[index] = true;
    ++present_count_;
    lost_.erase(client);
  }
  if (!running_) {
    if (present_count_ < population()) return {};
    running_ = true;
    return start_round(now);
  }
  // A participant of the open round that comes back is given its model again.
  const auto found = participants_.find(client);
  if (found == participants_.end() || found->second.slot == Slot::held || found->second.slot == Slot::added)
    return {};
  if (found->second.slot == Slot::lost) {
    found->second.slot = Slot::waiting;
    --progress_.lost;
    --metrics_.dropped;
  }
  return {SendModel{progress_.round, {client}, broadcast_, std::nullopt}};
}

Actions Coordinator::left(ClientId client, const std::string& reason, Seconds now) {
  const auto index = static_cast<std::size_t>(client);
  if (finished_ || !present_[index]) return {};
  present_[index] = false;
  --present_count_;
  lost_[client] = reason;
  const auto found = participants_.find(client);
  if (found == participants_.end() || found->second.slot != Slot::waiting) return {};
  lose(found->second);
  return commit_if_ready(now);
}

Actions Coordinator::arrived(const CompressedUpdate& update, Seconds now) {
  if (finished_) return {};
  const auto found = participants_.find(update.info.client);
  if (update.info.round != progress_.round || found == participants_.end() ||
      found->second.slot == Slot::lost) {
    ++metrics_.rejected;  // of another round, or from somebody who was not asked
    return {};
  }
  if (found->second.slot != Slot::waiting) return {};  // a duplicate: applied at most once
  found->second.slot = Slot::held;
  found->second.update = update;
  ++progress_.arrived;
  add_in_client_order(false);
  return commit_if_ready(now);
}

Actions Coordinator::deadline(Round round, Seconds now) {
  if (finished_ || round != progress_.round || participants_.empty()) return {};
  progress_.deadline_passed = true;
  for (auto& [client, participant] : participants_) {
    if (participant.slot == Slot::waiting) lose(participant);
  }
  return commit_if_ready(now);
}

Actions Coordinator::committed(std::optional<double> accuracy, Seconds now) {
  if (finished_) return {};
  const auto finish = [this](std::string reason) -> Actions {
    finished_ = true;
    return {Finish{true, std::move(reason)}};
  };
  if (target_accuracy_ > 0 && accuracy && *accuracy >= target_accuracy_) return finish("target_accuracy");
  if (version_ >= rounds_) return finish("rounds");
  return start_round(now);
}

Actions Coordinator::start_round(Seconds now) {
  if (version_ >= rounds_) {
    finished_ = true;
    return {Finish{true, "rounds"}};
  }
  if (present_count_ < min_size_) {
    finished_ = true;
    std::string reason = std::to_string(present_count_) + " of " + std::to_string(population()) +
                         " clients are left, cohort.min_size = " + std::to_string(min_size_) + "; lost:";
    for (const auto& [client, why] : lost_) reason += " client " + std::to_string(client) + " (" + why + ")";
    return {Finish{false, reason}};
  }
  progress_ = {};
  progress_.round = version_ + 1;
  metrics_ = {};
  metrics_.round = progress_.round;
  loss_sum_ = 0;
  participants_.clear();
  broadcast_ = server_.begin_round();

  std::vector<ClientId> cohort = sample_cohort();
  if (straggler_fraction_ > 0 && !keeps_partial_work_) {
    metrics_.dropped += static_cast<std::int64_t>(std::erase_if(cohort, [&](ClientId client) {
      return is_straggler(seed_, straggler_fraction_, client, progress_.round);
    }));
  }
  for (const ClientId client : cohort) participants_[client];
  progress_.started = static_cast<std::int64_t>(cohort.size());
  if (cohort.empty()) return commit_if_ready(now);
  std::optional<Seconds> deadline;
  if (deadline_s_ > 0) deadline = now + deadline_s_;
  return {SendModel{progress_.round, std::move(cohort), broadcast_, deadline}};
}

Actions Coordinator::commit_if_ready(Seconds now) {
  if (!sync_->ready(progress_)) return {};
  add_in_client_order(true);
  if (metrics_.clients >= std::min(min_size_, progress_.started)) server_.commit();
  version_ = progress_.round;
  participants_.clear();
  broadcast_ = {};
  metrics_.time_s = now;
  metrics_.train_loss = metrics_.samples > 0 ? loss_sum_ / static_cast<double>(metrics_.samples) : 0.0;
  return {Commit{metrics_, server_.model()}};
}

// Floating-point sums depend on their order, so updates are added in client order whatever the order of
// arrival: each waits until those before it have been added, or until nobody is waited for any more.
void Coordinator::add_in_client_order(bool skip_waiting) {
  for (auto& [client, participant] : participants_) {
    if (participant.slot == Slot::added) continue;
    if (participant.slot != Slot::held) {
      if (skip_waiting) continue;
      return;
    }
    const CompressedUpdate update = std::move(*participant.update);
    participant.update.reset();
    participant.slot = Slot::added;
    if (!server_.receive(update)) {
      ++metrics_.rejected;
      continue;
    }
    ++metrics_.clients;
    metrics_.samples += update.info.samples;
    loss_sum_ += update.info.train_loss * static_cast<double>(update.info.samples);
  }
}

void Coordinator::lose(Participant& participant) {
  participant.slot = Slot::lost;
  ++progress_.lost;
  ++metrics_.dropped;
}

std::vector<ClientId> Coordinator::sample_cohort() const {
  const std::int64_t size = std::min(cohort_size_, present_count_);
  std::vector<std::int64_t> cohort = sampler_->sample(present_count_, size, seed_, progress_.round);
  if (present_count_ == population()) return cohort;
  // Some are away: the numbers count those who are here.
  std::vector<ClientId> here;
  for (std::size_t client = 0; client < present_.size(); ++client) {
    if (present_[client]) here.push_back(static_cast<ClientId>(client));
  }
  for (std::int64_t& chosen : cohort) chosen = here[static_cast<std::size_t>(chosen)];
  return cohort;
}

void Coordinator::save(CheckpointWriter& writer) {
  writer.add_pod("version", version_);
  writer.add_floats("model", server_.model()->values);
  const auto& moments = server_.optimizer().state();
  writer.add_pod("moments", static_cast<std::uint64_t>(moments.size()));
  for (std::size_t i = 0; i < moments.size(); ++i)
    writer.add_floats("moment " + std::to_string(i), moments[i]);
}

void Coordinator::restore(const CheckpointReader& reader) {
  version_ = reader.pod<Round>("version");
  const auto values = reader.floats("model");
  if (values.size() != server_.model()->values.size()) {
    throw FileError("checkpoint: its model has " + std::to_string(values.size()) + " floats, this one has " +
                    std::to_string(server_.model()->values.size()));
  }
  server_.restore({values.begin(), values.end()});
  auto& moments = server_.optimizer().state();
  moments.clear();
  const auto count = reader.pod<std::uint64_t>("moments");
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto moment = reader.floats("moment " + std::to_string(i));
    moments.emplace_back(moment.begin(), moment.end());
  }
}

}  // namespace gossamer
