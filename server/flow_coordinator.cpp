#include "server/flow_coordinator.h"

#include <algorithm>

#include "core/error.h"
#include "core/rng.h"

namespace gossamer {
namespace {

constexpr std::uint32_t kNoTask = UINT32_MAX;

}  // namespace

FlowCoordinator::FlowCoordinator(const Options& options, std::shared_ptr<const Parameters> initial,
                                 Children children)
    : Coordinator(options, std::move(initial), children),
      staleness_weight_(staleness_weights().make(options)),
      everybody_works_(sync_->everybody_works()),
      on_request_(options.text("sync.pull") == "on_request"),
      task_index_(static_cast<std::size_t>(population()), kNoTask),
      clocks_(static_cast<std::size_t>(population())) {
  open_round();
}

Actions FlowCoordinator::joined(ClientId client, Seconds now) {
  if (finished_) return {};
  at_commit_ = at_commit_ && !running_;
  if (members_.join(client)) {
    // Who was away goes on with those who are furthest behind.
    if (running_ && !laps_.empty()) clock_of(client) = std::max(clock_of(client), laps_.first());
    count_lap(clock_of(client), +1);
    if (!on_request_ && task_of(client) == nullptr) idle_.push_back(client);
  } else if (on_request_) {
    return {};  // it asks for what it needs
  } else if (running_ && task_of(client) != nullptr) {
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
  std::ranges::sort(tasks_, {}, &Task::order);
  for (std::size_t i = 0; i < tasks_.size(); ++i)
    task_index_[members_.index_of(tasks_[i].client)] = static_cast<std::uint32_t>(i);
  for (std::size_t i = 0, count = tasks_.size(); i < count; ++i) give(tasks_[i].client, now, actions);
  Actions more = start_work(now);
  std::ranges::move(more, std::back_inserter(actions));
  return actions;
}

Actions FlowCoordinator::left(ClientId client, const std::string& reason, Seconds now) {
  if (finished_ || !members_.leave(client, reason)) return {};
  at_commit_ = false;
  count_lap(clock_of(client), -1);
  std::erase(idle_, client);
  if (remove_task(client)) {
    server_.forget(client);
    ++metrics_.dropped;
    ++progress_.lost;
  }
  return running_ ? start_work(now) : Actions{};
}

Actions FlowCoordinator::dropped(ClientId client, Round round, Seconds now) {
  if (finished_ || task_of(client) == nullptr || round != clock_of(client) + 1) return {};
  at_commit_ = false;
  ++metrics_.dropped;
  server_.forget(client);
  // It is not asked for the same work again, so that others do not wait for it for ever.
  end_task(client);
  return start_work(now);
}

Actions FlowCoordinator::arrived(const CompressedUpdate& update, Seconds now) {
  if (finished_) return {};
  const ClientId client = update.info.client;
  Task* const found = task_of(client);
  if (found == nullptr || update.info.round != clock_of(client) + 1) {
    // A duplicate changes nothing; anything else was not asked for.
    if (update.info.round > clock_of(client)) ++metrics_.rejected;
    return {};
  }
  at_commit_ = false;
  const Task task = std::move(*found);
  const Round staleness = model_version_ - task.version;
  if (server_.receive_stale(update, staleness_weight_->of(staleness), *task.base)) {
    ++progress_.arrived;
    ++progress_.pending;
    count_update(update.info, staleness);
  } else {
    server_.forget(client);
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

Actions FlowCoordinator::ready(ClientId client, Seconds now) {
  if (finished_ || !on_request_ || !members_.is_present(client)) return {};
  if (task_of(client) != nullptr) {
    // It has lost the answer to its last request.
    Actions actions;
    give(client, now, actions);
    return actions;
  }
  if (std::ranges::find(idle_, client) == idle_.end()) idle_.push_back(client);
  return running_ ? start_work(now) : Actions{};
}

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
    waiting_.swap(idle_);
    idle_.clear();
    for (const ClientId client : waiting_) {
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
  progress_.slowest = laps_.empty() ? 0 : laps_.first();
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
  Task* const given = task_of(client);
  const bool again = given != nullptr;
  Task& task = again ? *given : add_task(client);
  if (!again) task = {client, model_version_, server_.model(), given_++, now};
  if (encoded_ != task.base) {
    encoded_ = task.base;
    broadcast_ = server_.encode(encoded_);
  }
  progress_.started = static_cast<std::int64_t>(tasks_.size());
  actions.emplace_back(
      SendModel{clock_of(client) + 1, {client}, broadcast_, std::nullopt, task.since, again});
}

ClientId FlowCoordinator::draw_idle() {
  if (idle_.size() > 1) {
    Rng rng(seed_, Purpose::cohort, static_cast<std::uint64_t>(members_.at(0)), given_);
    std::swap(idle_[static_cast<std::size_t>(rng.below(idle_.size()))], idle_.back());
  }
  const ClientId client = idle_.back();
  idle_.pop_back();
  return client;
}

FlowCoordinator::Task* FlowCoordinator::task_of(ClientId client) {
  const std::uint32_t index = task_index_[members_.index_of(client)];
  return index == kNoTask ? nullptr : &tasks_[index];
}

FlowCoordinator::Task& FlowCoordinator::add_task(ClientId client) {
  task_index_[members_.index_of(client)] = static_cast<std::uint32_t>(tasks_.size());
  return tasks_.emplace_back();
}

bool FlowCoordinator::remove_task(ClientId client) {
  std::uint32_t& index = task_index_[members_.index_of(client)];
  if (index == kNoTask) return false;
  if (index + 1 < tasks_.size()) {
    tasks_[index] = std::move(tasks_.back());
    task_index_[members_.index_of(tasks_[index].client)] = index;
  }
  tasks_.pop_back();
  index = kNoTask;
  return true;
}

// Its clock goes on, whatever came of the work.
void FlowCoordinator::end_task(ClientId client) {
  remove_task(client);
  count_lap(clock_of(client), -1);
  count_lap(++clock_of(client), +1);
  if (!on_request_) idle_.push_back(client);
}

void FlowCoordinator::count_lap(Round clock, int change) {
  if (everybody_works_) laps_.count(clock, change);
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
  std::uint64_t bases = 0;
  const std::vector<HeldWork> held = held_work();
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    const Task& task = tasks_[i];
    if (held[i].base == bases) writer.add_floats("base " + std::to_string(bases++), task.base->values);
    saved.push_back({task.client, task.version, task.order, held[i].base, task.since});
  }
  add("tasks", saved);
}

std::vector<HeldWork> FlowCoordinator::held_work() const {
  std::vector<HeldWork> held;
  std::map<const Parameters*, std::uint64_t> bases;
  for (const Task& task : tasks_) {
    const std::uint64_t base = bases.try_emplace(task.base.get(), bases.size()).first->second;
    held.push_back({task.client, clocks_[members_.index_of(task.client)] + 1, base});
  }
  return held;
}

void FlowCoordinator::restore(const CheckpointReader& reader) {
  Coordinator::restore(reader);
  model_version_ = reader.pod<Round>("model version");
  given_ = reader.pod<std::uint64_t>("tasks given");
  const auto clocks = reader.array<Round>("clocks");
  const auto idle = reader.array<ClientId>("idle");
  if (clocks.size() != clocks_.size()) throw FileError("checkpoint: it is of another number of clients");
  clocks_.assign(clocks.begin(), clocks.end());
  open_round();
  if (on_request_) return;  // everybody asks anew
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
    if (saved.client < 0 || saved.client >= population() || task_of(saved.client) != nullptr)
      throw FileError("checkpoint: work of a client that there is not, or twice");
    add_task(saved.client) = {saved.client, saved.version, base, saved.order, saved.since};
  }
  standing_.assign(idle.begin(), idle.end());
}

}  // namespace gossamer
