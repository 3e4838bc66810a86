#include "server/flow_coordinator.h"

#include <algorithm>

#include "core/error.h"
#include "core/rng.h"

namespace gossamer {

FlowCoordinator::FlowCoordinator(const Options& options, std::shared_ptr<const Parameters> initial)
    : Coordinator(options, std::move(initial)),
      staleness_weight_(staleness_weights().make(options)),
      everybody_works_(sync_->everybody_works()),
      clocks_(static_cast<std::size_t>(population())) {
  open_round();
}

Actions FlowCoordinator::joined(ClientId client, Seconds now) {
  if (finished_) return {};
  at_commit_ = at_commit_ && !running_;
  if (members_.join(client)) {
    // Who was away goes on with those who are furthest behind.
    if (running_ && !laps_.empty()) clock_of(client) = std::max(clock_of(client), laps_.begin()->first);
    count_lap(clock_of(client), +1);
    if (!tasks_.contains(client)) idle_.push_back(client);
  } else if (const auto task = tasks_.find(client); running_ && task != tasks_.end()) {
    // It has lost its work, though nobody has noticed that it was gone.
    Actions actions;
    give(client, now, actions);
    return actions;
  }
  if (!running_ && !members_.complete()) return {};
  if (running_) return start_work(now);

  running_ = true;
  if (!standing_.empty()) idle_ = std::move(standing_);
  Actions actions;
  // A resumed run takes up the work that was under way, in the order in which it was given out.
  std::vector<ClientId> under_way;
  for (const auto& [id, task] : tasks_) under_way.push_back(id);
  std::ranges::sort(under_way, {}, [&](ClientId id) { return tasks_.at(id).order; });
  for (const ClientId id : under_way) give(id, now, actions);
  Actions more = start_work(now);
  std::ranges::move(more, std::back_inserter(actions));
  return actions;
}

Actions FlowCoordinator::left(ClientId client, const std::string& reason, Seconds now) {
  if (finished_ || !members_.leave(client, reason)) return {};
  at_commit_ = false;
  count_lap(clock_of(client), -1);
  std::erase(idle_, client);
  if (tasks_.erase(client) > 0) {
    ++metrics_.dropped;
    ++progress_.lost;
  }
  return running_ ? start_work(now) : Actions{};
}

Actions FlowCoordinator::dropped(ClientId client, Round round, Seconds now) {
  const auto task = tasks_.find(client);
  if (finished_ || task == tasks_.end() || round != clock_of(client) + 1) return {};
  at_commit_ = false;
  ++metrics_.dropped;
  // It is not asked for the same work again, so that others do not wait for it for ever.
  end_task(client);
  return start_work(now);
}

Actions FlowCoordinator::arrived(const CompressedUpdate& update, Seconds now) {
  if (finished_) return {};
  const ClientId client = update.info.client;
  const auto found = tasks_.find(client);
  if (found == tasks_.end() || update.info.round != clock_of(client) + 1) {
    // A duplicate changes nothing; anything else was not asked for.
    if (update.info.round > clock_of(client)) ++metrics_.rejected;
    return {};
  }
  at_commit_ = false;
  const Task task = found->second;
  const Round staleness = model_version_ - task.version;
  if (server_.receive_stale(update, staleness_weight_->of(staleness), *task.base)) {
    ++progress_.arrived;
    ++progress_.pending;
    count_update(update.info, staleness);
  } else {
    ++metrics_.rejected;
  }
  if (sync_->apply(progress_)) {
    progress_.workers = members_.present();
    server_.commit(sync_->denominator(progress_));
    ++model_version_;
    progress_.applied += progress_.pending;
    progress_.pending = 0;
  }
  end_task(client);
  if (auto commit = advance(now)) return {std::move(*commit)};
  return start_work(now);
}

Actions FlowCoordinator::deadline(Round, Seconds) { return {}; }

Actions FlowCoordinator::go_on(Seconds now) {
  at_commit_ = version_ >= rounds_;
  return start_work(now);
}

Actions FlowCoordinator::start_work(Seconds now) {
  if (version_ >= rounds_) return finish(true, "rounds");
  // Where the slowest has left, the others may be further than the run's round.
  if (auto commit = advance(now)) return {std::move(*commit)};
  if (members_.present() < min_size_) return finish(false, members_.too_few(min_size_));
  Actions actions;
  if (everybody_works_) {
    std::vector<ClientId> waiting;
    std::swap(waiting, idle_);
    for (const ClientId client : waiting) {
      const Round clock = clock_of(client);
      if (clock < rounds_ && sync_->may_start(progress_, clock)) {
        give(client, now, actions);
      } else {
        idle_.push_back(client);
      }
    }
  } else {
    while (static_cast<std::int64_t>(tasks_.size()) < cohort_size_ && !idle_.empty())
      give(draw_idle(), now, actions);
  }
  return actions;
}

std::optional<Commit> FlowCoordinator::advance(Seconds now) {
  progress_.slowest = laps_.empty() ? 0 : laps_.begin()->first;
  progress_.workers = members_.present();
  if (members_.present() == 0 || !sync_->ready(progress_)) return std::nullopt;
  at_commit_ = true;
  Commit commit = close_round(now);
  const Progress before = progress_;
  progress_ = {};
  progress_.pending = before.pending;
  progress_.started = before.started;
  progress_.slowest = before.slowest;
  progress_.workers = before.workers;
  open_round();
  return commit;
}

void FlowCoordinator::give(ClientId client, Seconds now, Actions& actions) {
  Task& task = tasks_[client];
  if (!task.base) task = {model_version_, server_.model(), given_++, now};  // otherwise the same work again
  if (encoded_ != task.base) {
    encoded_ = task.base;
    broadcast_ = server_.encode(encoded_);
  }
  progress_.started = static_cast<std::int64_t>(tasks_.size());
  actions.emplace_back(SendModel{clock_of(client) + 1, {client}, broadcast_, std::nullopt, task.since});
}

ClientId FlowCoordinator::draw_idle() {
  Rng rng(seed_, Purpose::cohort, 0, given_);
  std::swap(idle_[static_cast<std::size_t>(rng.below(idle_.size()))], idle_.back());
  const ClientId client = idle_.back();
  idle_.pop_back();
  return client;
}

// Its clock goes on, whatever came of the work.
void FlowCoordinator::end_task(ClientId client) {
  tasks_.erase(client);
  count_lap(clock_of(client), -1);
  count_lap(++clock_of(client), +1);
  idle_.push_back(client);
}

void FlowCoordinator::count_lap(Round clock, int change) {
  if (!everybody_works_) return;
  const auto lap = laps_.try_emplace(clock).first;
  lap->second += change;
  if (lap->second == 0) laps_.erase(lap);
}

void FlowCoordinator::save(CheckpointWriter& writer) {
  Coordinator::save(writer);
  const auto add = [&writer]<class T>(const std::string& name, const std::vector<T>& values) {
    writer.add_text(name, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
  };
  writer.add_pod("model version", model_version_);
  writer.add_pod("tasks given", given_);
  add("clocks", clocks_);
  add("idle", idle_);
  std::vector<SavedTask> saved;
  std::map<const Parameters*, std::uint64_t> bases;
  for (const auto& [client, task] : tasks_) {
    const auto [base, is_new] = bases.try_emplace(task.base.get(), bases.size());
    if (is_new) writer.add_floats("base " + std::to_string(base->second), task.base->values);
    saved.push_back({client, task.version, task.order, base->second, task.since});
  }
  add("tasks", saved);
}

void FlowCoordinator::restore(const CheckpointReader& reader) {
  Coordinator::restore(reader);
  model_version_ = reader.pod<Round>("model version");
  given_ = reader.pod<std::uint64_t>("tasks given");
  const auto clocks = reader.array<Round>("clocks");
  const auto idle = reader.array<ClientId>("idle");
  if (clocks.size() != clocks_.size()) throw FileError("checkpoint: it is of another number of clients");
  clocks_.assign(clocks.begin(), clocks.end());
  std::map<std::uint64_t, std::shared_ptr<const Parameters>> bases;
  for (const SavedTask& saved : reader.array<SavedTask>("tasks")) {
    auto& base = bases[saved.base];
    if (!base) {
      const auto values = reader.floats("base " + std::to_string(saved.base));
      if (values.size() != model()->values.size())
        throw FileError("checkpoint: a version in it does not fit the model");
      auto version = std::make_shared<Parameters>(*model());
      version->values.assign(values.begin(), values.end());
      base = std::move(version);
    }
    tasks_[saved.client] = {saved.version, base, saved.order, saved.since};
  }
  standing_.assign(idle.begin(), idle.end());
  open_round();
}

}  // namespace gossamer
