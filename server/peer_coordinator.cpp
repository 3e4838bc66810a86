#include "server/peer_coordinator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compression/compressor.h"
#include "compression/model_codec.h"
#include "core/error.h"

namespace gossamer {
namespace {

TopologyKind kind_of(const Options& options) { return topologies().make(options)->kind(); }

std::string state_name(ClientId client) { return "peer " + std::to_string(client); }

}  // namespace

bool peers_show_more(const Options& options) {
  return kind_of(options) == TopologyKind::gossip ? sends_differences(options) : keeps_state(options);
}

PeerCoordinator::PeerCoordinator(const Options& options, std::shared_ptr<const Parameters> initial)
    : lockstep_(options.text("sync.mode") == "bsp"),
      needs_everybody_(kind_of(options) != TopologyKind::gossip),
      shows_more_(peers_show_more(options)),
      conceals_(privacy_plan(options).is_private()),
      topology_(options.text("topology.name")),
      rounds_(options.integer("run.rounds")),
      eval_every_(options.integer("run.eval_every")),
      min_size_(options.integer("cohort.min_size")),
      target_accuracy_(options.real("run.target_accuracy")),
      schedule_(options),
      members_({}, options.integer("data.clients")),
      model_(std::move(initial)) {}

PeerActions PeerCoordinator::joined(ClientId client, Seconds) {
  if (finished_ || running_) return {};
  members_.join(client);
  if (!members_.complete()) return {};
  running_ = true;
  if (version_ >= rounds_) return finish(true, "rounds");
  granted_ = version_;
  return grant_up_to(version_ + (lockstep_ ? kRoundsAhead : 1));
}

PeerActions PeerCoordinator::left(ClientId client, const std::string& reason, Seconds now) {
  if (finished_ || !members_.leave(client, reason) || !running_) return {};
  ++dropped_;
  if (needs_everybody_) {
    return finish(false, "client " + std::to_string(client) + " is lost (" + reason +
                             "); topology.name = " + topology_ + " cannot go on without it");
  }
  if (members_.present() < min_size_) return finish(false, members_.too_few(min_size_));
  return close_if_ready(now);
}

PeerActions PeerCoordinator::reported(const PeerReport& report, Seconds now) {
  if (finished_ || !running_) return {};
  const Round round = report.info.round;
  if (lockstep_ && (round <= version_ || round > granted_)) {
    ++rejected_;
    return {};
  }
  if (!lockstep_) {
    reports_.push_back(report);
  } else if (!open_[round].reports.try_emplace(report.info.client, report).second) {
    ++rejected_;
  }
  return close_if_ready(now);
}

PeerActions PeerCoordinator::shown(const Frame& state, Seconds now) {
  if (finished_ || !running_) return {};
  const ClientId client = state.header.client;
  const std::size_t floats = model_->layout->size();
  const std::size_t shown = state.payload.size() / sizeof(float);
  const bool longer = shows_more_ && shown > floats && shown <= kMostPeerVectors * floats;
  auto values = std::make_shared<FloatBuffer>(longer ? shown : floats);
  if (const auto read = read_floats(state, *values); !read) return left(client, read.fault().reason, now);
  if (lockstep_) {
    const Round round = state.header.round;
    if (round <= version_ || round > granted_) return {};
    open_[round].states[client] = std::move(values);
  } else if (closing_) {
    closing_->states[client] = std::move(values);
  }
  return close_if_ready(now);
}

PeerActions PeerCoordinator::committed(std::optional<double> accuracy, Seconds now) {
  committing_ = false;
  if (finished_) return {};
  if (target_accuracy_ > 0 && accuracy && *accuracy >= target_accuracy_)
    return finish(true, "target_accuracy");
  if (version_ >= rounds_) return finish(true, "rounds");
  if (stopping_ && (!forced_ || version_ >= *forced_)) return finish(true, "signal");
  return go_on(now);
}

PeerActions PeerCoordinator::stop(Seconds) {
  if (finished_ || stopping_) return {};
  if (!running_) return finish(true, "signal");
  if (!lockstep_) {
    stopping_ = true;
    return {};
  }
  const bool shows_anyway = due(granted_);
  stopping_ = true;
  forced_ = granted_;
  if (shows_anyway) return {};
  return {Show{granted_, showing(granted_)}};
}

PeerActions PeerCoordinator::go_on(Seconds now) {
  PeerActions actions;
  if (lockstep_ && !stopping_) actions = grant_up_to(version_ + kRoundsAhead);
  for (PeerAction& action : close_if_ready(now)) actions.push_back(std::move(action));
  return actions;
}

PeerActions PeerCoordinator::grant_up_to(Round round) {
  PeerActions actions;
  while (granted_ < std::min(round, rounds_)) {
    ++granted_;
    actions.emplace_back(Grant{granted_, members_.here(),
                               lockstep_ && due(granted_) ? showing(granted_) : std::vector<ClientId>{}});
  }
  return actions;
}

PeerActions PeerCoordinator::close_if_ready(Seconds now) {
  if (committing_ || finished_ || members_.present() == 0) return {};
  if (lockstep_) {
    const auto found = open_.find(version_ + 1);
    if (found == open_.end()) return {};
    const Open& open = found->second;
    const auto here = members_.here();
    const bool all_reported =
        std::ranges::all_of(here, [&](ClientId client) { return open.reports.contains(client); });
    if (!all_reported) return {};
    if (due(version_ + 1) && !std::ranges::all_of(showing(version_ + 1), [&](ClientId client) {
          return open.states.contains(client);
        }))
      return {};
    closing_ = std::move(found->second);
    open_.erase(found);
    return close(now);
  }
  if (!closing_) {
    if (std::ssize(reports_) < members_.present()) return {};
    closing_.emplace();
    for (ClientId place = 0; place < members_.present(); ++place) {
      closing_->reports.try_emplace(place, reports_.front());
      reports_.pop_front();
    }
    if (due(version_ + 1)) return {Show{version_ + 1, showing(version_ + 1)}};
    return close(now);
  }
  if (!std::ranges::all_of(showing(version_ + 1),
                           [&](ClientId client) { return closing_->states.contains(client); }))
    return {};
  return close(now);
}

PeerActions PeerCoordinator::close(Seconds now) {
  const Open open = std::move(*closing_);
  closing_.reset();
  const bool shows = due(version_ + 1);
  ++version_;
  committing_ = true;
  RoundMetrics metrics;
  metrics.round = version_;
  metrics.time_s = now;
  metrics.dropped = std::exchange(dropped_, 0);
  metrics.rejected = std::exchange(rejected_, 0);
  double loss_sum = 0;
  for (const auto& [place, report] : open.reports) {
    ++metrics.clients;
    metrics.samples += report.info.samples;
    loss_sum += report.info.train_loss * static_cast<double>(report.info.samples);
    metrics.bytes_up += report.bytes_sent;
    metrics.bytes_down += report.bytes_received;
  }
  if (conceals_) metrics.train_loss = std::numeric_limits<double>::quiet_NaN();
  if (metrics.samples > 0) metrics.train_loss = loss_sum / static_cast<double>(metrics.samples);
  if (shows) {
    states_.clear();
    for (const ClientId client : showing(version_)) states_[client] = open.states.at(client);
    states_round_ = version_;
    metrics.consensus_distance = take_mean();
  }
  return {Commit{metrics}};
}

// The model becomes the mean of the states; returns the root of the mean square distance from it.
std::optional<double> PeerCoordinator::take_mean() {
  auto mean = std::make_shared<Parameters>();
  mean->layout = model_->layout;
  if (needs_everybody_) {
    const FloatBuffer& first = *states_.begin()->second;
    mean->values.assign(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(model_->values.size()));
    model_ = std::move(mean);
    return std::nullopt;
  }
  std::vector<double> sums(model_->values.size(), 0.0);
  for (const auto& [client, values] : states_) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += (*values)[i];
  }
  const auto peers = static_cast<double>(states_.size());
  mean->values.resize(sums.size());
  double squares = 0;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const double middle = sums[i] / peers;
    mean->values[i] = static_cast<float>(middle);
    for (const auto& [client, values] : states_) {
      const double away = (*values)[i] - middle;
      squares += away * away;
    }
  }
  model_ = std::move(mean);
  return std::sqrt(squares / peers);
}

PeerActions PeerCoordinator::finish(bool success, std::string reason) {
  finished_ = true;
  return {Finish{success, std::move(reason)}};
}

bool PeerCoordinator::due(Round round) const { return round % eval_every_ == 0 || saves(round); }

bool PeerCoordinator::saves(Round round) const {
  return round == rounds_ || schedule_.due(round) || stopping_at(round);
}

bool PeerCoordinator::stopping_at(Round round) const { return stopping_ && (!forced_ || round == *forced_); }

// Whose model is wanted: everybody's, or one's where all have the same and nothing else is saved.
std::vector<ClientId> PeerCoordinator::showing(Round round) const {
  std::vector<ClientId> here = members_.here();
  if (needs_everybody_ && !(shows_more_ && saves(round)) && !here.empty()) here.resize(1);
  return here;
}

SharedFloats PeerCoordinator::start_of(ClientId client) const {
  const auto found = states_.find(client);
  if (found != states_.end()) return {found->second, *found->second};
  return {model_, model_->values};
}

void PeerCoordinator::save(CheckpointWriter& writer) {
  writer.add_pod("version", version_);
  writer.add_floats("model", model_->values);
  if (needs_everybody_ && !shows_more_) return;
  for (const auto& [client, values] : states_) writer.add_floats(state_name(client), *values);
}

void PeerCoordinator::restore(const CheckpointReader& reader) {
  const auto floats = [&](const std::string& name) {
    const auto values = reader.floats(name);
    const std::size_t most = (shows_more_ && name != "model" ? kMostPeerVectors : 1) * model_->values.size();
    if (values.size() < model_->values.size() || values.size() > most) {
      throw FileError("checkpoint: " + name + " has " + std::to_string(values.size()) +
                      " floats, this model has " + std::to_string(model_->values.size()));
    }
    return FloatBuffer(values.begin(), values.end());
  };
  version_ = states_round_ = reader.pod<Round>("version");
  auto model = std::make_shared<Parameters>(*model_);
  model->values = floats("model");
  model_ = std::move(model);
  states_.clear();
  for (ClientId client = 0; client < members_.population(); ++client) {
    if (reader.has(state_name(client)))
      states_[client] = std::make_shared<FloatBuffer>(floats(state_name(client)));
  }
}

}  // namespace gossamer
