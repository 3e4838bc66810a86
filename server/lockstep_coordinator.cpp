#include "server/lockstep_coordinator.h"

#include <algorithm>
#include <utility>

#include "compression/choice.h"
#include "core/error.h"
#include "core/straggler.h"

namespace gossamer {
namespace {

// Stragglers do a part of their work, which only FedProx can use; slow ones do all of it.
double dropped_stragglers(const Options& options) {
  const bool slow = options.real("devices.straggler_slowdown") > 1;
  return slow || options.text("algorithm.name") == "fedprox" ? 0 : options.real("devices.straggler_fraction");
}

}  // namespace

LockstepCoordinator::LockstepCoordinator(const Options& options, std::shared_ptr<const Parameters> initial,
                                         Children children)
    : Coordinator(options, std::move(initial), children),
      sampler_(cohort_samplers().make(options)),
      deadline_s_(options.real("cohort.deadline_s")),
      straggler_fraction_(dropped_stragglers(options)) {
  if (options.text("sync.local_steps") == "adaptive") {
    control_.emplace(AdaptiveTau::Settings{options.real("client.lr"), options.real("sync.phi"),
                                           options.real("sync.budget_s"),
                                           options.integer("sync.max_local_steps")});
  }
  if (options.text("compression.up") == "auto") {
    choice_.emplace(MethodChoice::Settings{chosen_methods().size(),
                                           options.integer("compression.auto.rounds"),
                                           options.real("compression.auto.drag")});
  }
}

Actions LockstepCoordinator::joined(ClientId client, Seconds now) {
  if (finished_) return {};
  members_.join(client);
  late_.erase(client);
  up_to_date_.erase(client);  // it may have lost what it held
  if (!running_) {
    if (!members_.complete()) return {};
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
  return {SendModel{progress_.round, {client}, broadcast_.whole, std::nullopt, now, false, terms()}};
}

Actions LockstepCoordinator::left(ClientId client, const std::string& reason, Seconds now) {
  if (finished_ || !members_.leave(client, reason)) return {};
  late_.erase(client);
  up_to_date_.erase(client);
  return dropped(client, progress_.round, now);
}

Actions LockstepCoordinator::dropped(ClientId client, Round round, Seconds now) {
  if (finished_) return {};
  const auto late = late_.find(client);
  if (late != late_.end() && late->second == round) late_.erase(late);
  const auto found = participants_.find(client);
  if (round != progress_.round || found == participants_.end() || found->second.slot != Slot::waiting)
    return {};
  lose(found->second);
  return commit_if_ready(now);
}

Actions LockstepCoordinator::arrived(const CompressedUpdate& update, Seconds now) {
  if (finished_) return {};
  const auto late = late_.find(update.info.client);
  if (late != late_.end() && late->second == update.info.round) {
    late_.erase(late);  // counted as dropped when its round ended
    return {};
  }
  const auto found = participants_.find(update.info.client);
  if (update.info.round != progress_.round || found == participants_.end() ||
      found->second.slot == Slot::lost) {
    ++metrics_.rejected;  // of another round, or from somebody who was not asked
    return {};
  }
  if (found->second.slot != Slot::waiting) return {};  // a duplicate: applied at most once
  found->second.slot = Slot::held;
  found->second.update = update;
  up_to_date_.insert(update.info.client);
  ++progress_.arrived;
  // With backup workers nobody knows yet who will be among the first.
  if (sync_->backups() == 0) add_in_client_order(false);
  return commit_if_ready(now);
}

Actions LockstepCoordinator::deadline(Round round, Seconds now) {
  if (finished_ || round != progress_.round || participants_.empty()) return {};
  progress_.deadline_passed = true;
  return commit_if_ready(now);
}

Actions LockstepCoordinator::go_on(Seconds now) { return start_round(now); }

Actions LockstepCoordinator::start_round(Seconds now) {
  if (control_ && control_->plan() == AdaptiveTau::Plan::end) return finish(true, "budget");
  if (version_ >= rounds_) return finish(true, "rounds");
  if (members_.present() < min_size_) return finish(false, members_.too_few(min_size_));
  progress_ = {};
  open_round();
  participants_.clear();
  server_.begin(progress_.round);
  reports_.clear();
  delivered_ = 0;
  if (choice_) metrics_.compression = chosen_methods()[method()];
  since_ = now;

  std::vector<ClientId> cohort = sample_cohort();
  if (straggler_fraction_ > 0) {
    metrics_.dropped += static_cast<std::int64_t>(std::erase_if(cohort, [&](ClientId client) {
      return is_straggler(seed_, straggler_fraction_, client, progress_.round);
    }));
  }
  for (const ClientId client : cohort) participants_[client];
  progress_.started = static_cast<std::int64_t>(cohort.size());
  progress_.needed = sampler_->fixed_size() ? std::min(progress_.started, cohort_size_) : progress_.started;
  if (cohort.empty()) return commit_if_ready(now);
  return send_model(cohort, now);
}

Actions LockstepCoordinator::send_model(const std::vector<ClientId>& cohort, Seconds now) {
  broadcast_ = server_.broadcast(progress_.round);
  const std::set<ClientId> holders = std::exchange(up_to_date_, {});
  SendModel differences{progress_.round, {}, {}, std::nullopt, now, false, terms()};
  SendModel models = differences;
  if (broadcast_.difference) {
    differences.model = *broadcast_.difference;
    differences.bases = {broadcast_.base};
  }
  models.model = broadcast_.whole;
  for (const ClientId client : cohort)
    (broadcast_.difference && holders.contains(client) ? differences : models).clients.push_back(client);
  Actions actions;
  for (SendModel* send : {&differences, &models}) {
    if (!send->clients.empty()) actions.emplace_back(std::move(*send));
  }
  if (deadline_s_ > 0) std::get<SendModel>(actions.front()).deadline = now + deadline_s_;
  return actions;
}

Actions LockstepCoordinator::commit_if_ready(Seconds now) {
  if (!sync_->ready(progress_)) return {};
  Actions actions;
  Abandon abandon{progress_.round, {}};
  for (auto& [client, participant] : participants_) {
    if (participant.slot != Slot::waiting) continue;
    lose(participant);
    late_[client] = progress_.round;
    if (sync_->cancels_late_work()) abandon.clients.push_back(client);
  }
  add_in_client_order(true);
  const auto before = server_.model();
  const bool last = make_model(now);
  participants_.clear();
  broadcast_ = {};
  if (!abandon.clients.empty()) actions.emplace_back(std::move(abandon));
  Commit commit = close_round(now);
  commit.last = last;
  if (choice_ && !choice_->settled()) commit.note = observe_method(now);
  if (server_.model() == before) commit.weight = 0;  // nothing came of them
  actions.emplace_back(std::move(commit));
  return actions;
}

bool LockstepCoordinator::make_model(Seconds now) {
  const bool enough = server_.noises_empty_rounds() || updates_ >= std::min(min_size_, progress_.started);
  if (!control_) {
    if (enough) server_.commit();
    return false;
  }
  const bool measured = control_->plan() == AdaptiveTau::Plan::measure;
  const AdaptiveTau::Verdict verdict = control_->observe(reports_, since_, now);
  if (verdict == AdaptiveTau::Verdict::best) best_ = server_.model();
  if (best_ && (measured || verdict == AdaptiveTau::Verdict::diverged)) {
    server_.go_back_to(best_);
  } else if (enough && !measured) {
    server_.commit();
  }
  return measured;
}

// The round is over; what there is to say of it.
std::string LockstepCoordinator::observe_method(Seconds now) {
  std::optional<double> delivered;
  if (updates_ > 0) delivered = delivered_ / static_cast<double>(updates_);
  choice_->observe(delivered, now - since_);
  return choice_->settled() ? "compression.up = auto: " + choice_->describe(chosen_methods()) : std::string();
}

void LockstepCoordinator::rebase(std::shared_ptr<const Parameters> model, Round version) {
  Coordinator::rebase(std::move(model), version);
  version_ = version;
}

void LockstepCoordinator::save(CheckpointWriter& writer) {
  Coordinator::save(writer);
  if (choice_) choice_->save(writer);
  if (!control_) return;
  control_->save(writer);
  if (best_) writer.add_floats("best model", best_->values);
}

void LockstepCoordinator::restore(const CheckpointReader& reader) {
  Coordinator::restore(reader);
  if (choice_) choice_->restore(reader);
  if (!control_) return;
  control_->restore(reader);
  if (!reader.has("best model")) return;
  const auto values = reader.floats("best model");
  if (values.size() != model()->values.size())
    throw FileError("checkpoint: a version in it does not fit the model");
  auto best = std::make_shared<Parameters>(*model());
  best->values.assign(values.begin(), values.end());
  best_ = std::move(best);
}

// Floating-point sums depend on their order, so updates are added in client order whatever the order of
// arrival: each waits until those before it have been added, or until nobody is waited for any more.
void LockstepCoordinator::add_in_client_order(bool skip_waiting) {
  for (auto& [client, participant] : participants_) {
    if (participant.slot == Slot::added) continue;
    if (participant.slot != Slot::held) {
      if (skip_waiting) continue;
      return;
    }
    const CompressedUpdate update = std::move(*participant.update);
    participant.update.reset();
    participant.slot = Slot::added;
    const auto report = choice_ ? method_report(update.content) : std::nullopt;
    const bool as_asked = !choice_ || (report && report->method == method());
    if (!as_asked || !server_.receive(update)) {
      ++metrics_.rejected;
      continue;
    }
    count_update(update.info, 0);
    if (report) delivered_ += report->delivered;
    if (control_ && update.info.tau) reports_.push_back({update.info.weight, *update.info.tau});
  }
}

void LockstepCoordinator::lose(Participant& participant) {
  participant.slot = Slot::lost;
  ++progress_.lost;
  ++metrics_.dropped;
}

std::vector<ClientId> LockstepCoordinator::sample_cohort() const {
  const std::int64_t wanted = cohort_size_ + sync_->backups();
  const auto sample = [&](std::int64_t population) {
    // Each aggregator draws for itself.
    const std::uint64_t seed = seed_ + static_cast<std::uint64_t>(members_.at(0));
    return sampler_->sample(population, std::min(wanted, population), seed, progress_.round);
  };
  const bool busy = !sync_->cancels_late_work() && !late_.empty();
  if (members_.complete() && !busy) {
    std::vector<ClientId> cohort = sample(population());
    for (ClientId& chosen : cohort) chosen = members_.at(static_cast<std::size_t>(chosen));
    return cohort;
  }
  // Some are away, or still at work on an earlier round: the numbers count the others, as long as they
  // suffice.
  std::vector<ClientId> here = members_.here();
  if (busy) {
    std::vector<ClientId> idle = here;
    std::erase_if(idle, [&](ClientId client) { return late_.contains(client); });
    if (static_cast<std::int64_t>(idle.size()) >= cohort_size_) here = std::move(idle);
  }
  std::vector<ClientId> cohort = sample(static_cast<std::int64_t>(here.size()));
  for (std::int64_t& chosen : cohort) chosen = here[static_cast<std::size_t>(chosen)];
  return cohort;
}

}  // namespace gossamer
