#include "simulation/peer_simulation.h"

#include <algorithm>
#include <stdexcept>
#include <thread>
#include <utility>

#include "comms/codec.h"
#include "comms/collectives/in_process_link.h"
#include "core/error.h"

namespace gossamer {
namespace {

std::size_t share_bytes(const Compressed& content) { return kFrameHeaderBytes + content.payload.size(); }

constexpr std::int64_t kMostTrainers = 256;  // each with a thread and a replica
constexpr int kBusyTurns = 64;               // of a trainer that waits for others

}  // namespace

int threads_for_peers(const Options& options, int wanted) {
  if (!algorithms().make(options)->exchanges_gradients()) return wanted;
  const std::int64_t peers = options.integer("data.clients");
  if (peers > kMostTrainers)
    throw ConfigError("data.clients = " + std::to_string(peers) +
                      ": algorithm.name = " + options.text("algorithm.name") +
                      " trains all of them at once; in a simulation expected " + "at most " +
                      std::to_string(kMostTrainers));
  return static_cast<int>(peers);
}

PeerSimulation::PeerSimulation(const Options& options, const FederatedData& data, TrainerPool& pool)
    : options_(options),
      data_(data),
      pool_(pool),
      devices_(options),
      evaluator_(pool, data.test()),
      run_id_(options.digest()),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      lockstep_(options.text("sync.mode") == "bsp"),
      uniform_weights_(options.text("server.weighting") == "uniform"),
      topology_(topologies().make(options)),
      plan_(topology_->gossip_plan(static_cast<int>(options.integer("data.clients")))),
      plain_(make_no_compressor(pool.clients().front()->model().layout()->size())),
      down_(down_compressors().make(options, *pool.clients().front()->model().layout())),
      wires_(devices_, options.integer("data.clients")),
      peers_(static_cast<std::size_t>(options.integer("data.clients"))) {
  if (plan_ && sends_differences(options))
    copies_.emplace(options, *pool.clients().front()->model().layout());
  if (topology_->kind() == TopologyKind::all_reduce && options.text("compression.up") != "none") {
    for (Rank rank = 0; rank < population(); ++rank)
      means_.push_back(make_compressed_mean(options, *pool.clients().front()->model().layout(), *topology_,
                                            rank, static_cast<int>(population())));
  }
  if (!algorithms().make(options)->exchanges_gradients()) return;
  if (pool.threads() < population()) throw std::logic_error("PeerSimulation: fewer threads than peers");
  const auto idle = [this](int turns) {
    if (broken_) throw WorkCalledOff();
    if (turns > kBusyTurns) std::this_thread::yield();
  };
  for (auto& link : make_in_process_links(*topology_, static_cast<int>(population()))) {
    sums_.push_back(make_all_reduce(*topology_, std::move(link)));
    exchanges_.push_back(
        std::make_unique<GradientExchange>(*sums_.back(), *topology_, exchange_settings(options), idle));
  }
}

std::string PeerSimulation::run(PeerCoordinator& coordinator, RunKeeper& keeper,
                                const std::function<bool()>& stop_requested) {
  now_ = keeper.time_offset();
  ready_.assign(peers_.size(), now_);
  for (Peer& each : peers_) each.completed = coordinator.version();
  recorder_.emplace(
      options_, coordinator, keeper, [this](ClientId, const Frame& frame) { hear(frame); },
      [this] { return now_; });
  bool stopped = false;
  const auto look_for_stop = [&] {
    if (stopped || !stop_requested()) return;
    stopped = true;
    recorder_->stop();
  };
  for (ClientId client = 0; client < population(); ++client) recorder_->join(client);
  if (!lockstep_) {
    go_freely(look_for_stop);
  } else {
    if (copies_ && coordinator.version() > 0) tell_copies(coordinator.version() + 1);
    for (Round round = coordinator.version() + 1; !recorder_->end(); ++round) {
      look_for_stop();
      round_in_lockstep(round);
    }
  }
  if (!recorder_->end()->success) throw RunError(recorder_->end()->reason);
  return recorder_->end()->reason;
}

// What the recorder says to a peer.
void PeerSimulation::hear(const Frame& frame) {
  const FrameHeader& header = frame.header;
  Peer& one = peer(header.client);
  switch (header.type) {
    case FrameType::model: {
      FloatBuffer values(header.elements);
      if (!read_floats(frame, values)) throw std::logic_error("simulation: a model to begin with");
      if (!means_.empty()) {
        const auto restored = means_[static_cast<std::size_t>(header.client)]->restore_leftovers(values);
        if (!restored) throw RunError("the checkpoint: " + restored.fault().reason);
      }
      if (copies_) {
        const auto begun = copies_->begin(header.client, values, header.round);
        if (!begun) throw RunError("the checkpoint: " + begun.fault().reason);
      }
      if (!means_.empty() || copies_) {
        values.resize(pool_.clients().front()->model().layout()->size());
      }
      one.model = PeerModel(std::move(values), 1.0 / static_cast<double>(population()));
      break;
    }
    case FrameType::grant:
      granted_.try_emplace(header.round, now_);
      if (header.sequence == 1) one.shown.insert(header.round);
      break;
    case FrameType::show:
      if (lockstep_) {
        one.shown.insert(header.round);
      } else {
        to_show_.insert(header.client);
      }
      break;
    default:
      break;
  }
}

// `to` is `from` where all neighbours get the same.
Compressed PeerSimulation::encoded(const SharedFloats& values, ClientId from, ClientId to,
                                   Round round) const {
  Rng rng = message_rng(seed_, from, to, round);
  return down_->compress(values, {}, {round}, rng);
}

void PeerSimulation::begin_training(ClientId client) {
  Peer& one = peer(client);
  const Round round = one.completed + 1;
  const Frame model = encode_model(run_id_, round, client, 0, as_they_are(one.model.share()));
  // Not always on the same thread, but never on two at once.
  GradientExchange* exchange =
      exchanges_.empty() ? nullptr : exchanges_[static_cast<std::size_t>(client)].get();
  one.training = pool_.submit([this, model, exchange](Client& worker) -> Result<Parcel> {
    auto received = pass_through(Parcel{model, {}});
    if (!received) return received;
    try {
      return worker.take_part(received.value(), nullptr, {}, exchange);
    } catch (...) {
      broken_ = true;
      throw;
    }
  });
}

// Waits for the real training; none where the peer cannot go on.
std::optional<CompressedUpdate> PeerSimulation::trained(ClientId client) {
  auto frame = peer(client).training.get();
  if (frame) frame = pass_through(frame.value());
  if (!frame) {
    lose(client, frame.fault().reason);
    return std::nullopt;
  }
  auto update = decode_update(frame.value());
  peer(client).info = update.value().info;
  return std::move(update).value();
}

void PeerSimulation::lose(ClientId client, const std::string& reason) {
  peer(client).is_lost = true;
  recorder_->leave(client, reason);
}

void PeerSimulation::complete(ClientId client) {
  Peer& one = peer(client);
  ++one.completed;
  recorder_->take(
      encode_report(run_id_, {one.info, std::exchange(one.sent, 0), std::exchange(one.received, 0)}));
  if (one.shown.erase(one.completed) > 0) show(client);
}

void PeerSimulation::show(ClientId client) {
  const PeerModel& model = peer(client).model;
  const SharedFloats shown = !means_.empty()
                                 ? means_[static_cast<std::size_t>(client)]->with_leftovers(model.values())
                             : copies_ ? copies_->with_copy(client, model.values())
                                       : model.share();
  recorder_->take(encode_state(run_id_, client, peer(client).completed, shown));
}

void PeerSimulation::round_in_lockstep(Round round) {
  const Seconds granted = granted_.at(round);
  granted_.erase(granted_.begin(), granted_.lower_bound(round));
  std::vector<Seconds> began(peers_.size());
  for (ClientId client = 0; client < population(); ++client) {
    if (!peer(client).is_lost) begin_training(client);
  }
  // Those that exchange gradients use what is ours until the last one is done.
  for (std::size_t i = 0; i < exchanges_.size(); ++i) peers_[i].training.wait();
  std::map<ClientId, CompressedUpdate> updates;
  for (ClientId client = 0; client < population(); ++client) {
    if (peer(client).is_lost) continue;
    auto update = trained(client);
    if (recorder_->end()) return;
    if (!update) continue;
    updates[client] = std::move(*update);
    Seconds& time = ready_[static_cast<std::size_t>(client)];
    time = std::max(time, granted);
    time += devices_.waiting_seconds(client, time);
    began[static_cast<std::size_t>(client)] = time;
    time += devices_.training_seconds(data_.examples(client), client, round);
  }
  if (topology_->kind() == TopologyKind::gossip) {
    mix_models(updates, round, began);
  } else if (!exchanges_.empty()) {
    step_together(updates, round, began);
  } else {
    sum_updates(updates, round);
  }
  for (const auto& [client, update] : updates)
    now_ = std::max(now_, ready_[static_cast<std::size_t>(client)]);
  for (const auto& [client, update] : updates) complete(client);
}

void PeerSimulation::sum_updates(const std::map<ClientId, CompressedUpdate>& updates, Round round) {
  const std::size_t count = peers_[0].model.values().size() + 1;
  std::vector<FloatBuffer> vectors;
  for (const auto& [client, update] : updates) {
    const double weight = uniform_weights_ || !means_.empty() ? 1 : update.info.weight;
    if (const auto filled = peer(client).model.fill(update, weight, *plain_, vectors.emplace_back(count));
        !filled)
      return lose(client, filled.fault().reason);
  }
  if (!means_.empty()) {
    average_compressed(vectors, updates, round);
  } else {
    all_reduce_in_process(*topology_, std::vector<std::span<float>>(vectors.begin(), vectors.end()));
    for (const auto& [client, update] : updates) {
      const ExchangeBytes bytes =
          all_reduce_bytes(*topology_, static_cast<Rank>(client), static_cast<int>(population()), count);
      peer(client).sent += bytes.sent;
      peer(client).received += bytes.received;
    }
    wires_.all_reduce(*topology_, count, round, ready_);
  }
  for (const auto& [client, update] : updates)
    peer(client).model.add_mean(vectors[static_cast<std::size_t>(client)]);
}

void PeerSimulation::average_compressed(std::vector<FloatBuffer>& vectors,
                                        const std::map<ClientId, CompressedUpdate>& updates, Round round) {
  std::vector<Routes> routes;
  std::vector<MessageHandler*> handlers;
  for (const auto& [client, update] : updates) {
    const auto i = static_cast<std::size_t>(client);
    const double weight = uniform_weights_ ? 1 : update.info.weight;
    means_[i]->begin(std::span(vectors[i]).first(vectors[i].size() - 1), static_cast<float>(weight),
                     {round, update.info.train_loss});
    routes.push_back(means_[i]->routes());
    handlers.push_back(means_[i].get());
  }
  std::vector<PeerWires::Message> messages;
  const auto sent = [&](Rank from, Rank to, std::size_t bytes) {
    peer(from).sent += bytes;
    peer(to).received += bytes;
    messages.push_back({from, to, bytes, ready_[static_cast<std::size_t>(from)]});
  };
  const auto ended = [&] { wires_.deliver(std::exchange(messages, {}), round, ready_); };
  if (const auto exchanged = exchange_in_process(routes, handlers, sent, ended); !exchanged)
    throw std::logic_error("simulation: " + exchanged.fault().reason);
  for (const auto& mean : means_) {
    if (const auto finished = mean->finish(); !finished)
      throw std::logic_error("simulation: " + finished.fault().reason);
  }
}

// The peers' updates are one and the same. On the virtual clock each step trains, then sums: nothing
// overlaps.
void PeerSimulation::step_together(const std::map<ClientId, CompressedUpdate>& updates, Round round,
                                   const std::vector<Seconds>& began) {
  const std::int64_t steps = options_.integer("client.local_steps");
  std::vector<Seconds> step(peers_.size());
  for (const auto& [client, update] : updates) {
    const auto i = static_cast<std::size_t>(client);
    Peer& one = peers_[i];
    if (!one.model.add(update, *plain_))
      throw std::logic_error("simulation: an update that was decoded before");
    const ExchangeBytes bytes = exchanges_[i]->take_bytes();
    one.sent += bytes.sent;
    one.received += bytes.received;
    step[i] = (ready_[i] - began[i]) / static_cast<double>(steps);
    ready_[i] = began[i];
  }
  const StepFloats floats = floats_of_step(pool_.clients()[0]->model(), factor_rule(options_));
  for (std::int64_t done = 0; done < steps; ++done) {
    for (std::size_t i = 0; i < peers_.size(); ++i) ready_[i] += step[i];
    wires_.all_reduce(*topology_, floats.summed, round, ready_);
    wires_.gather(*topology_, floats.gathered, round, ready_);
  }
}

// Goes on from a checkpoint: as each peer has told the copy of itself alone, neighbours are sent it whole.
void PeerSimulation::tell_copies(Round round) {
  const std::size_t bytes =
      kFrameHeaderBytes + pool_.clients().front()->model().layout()->size() * sizeof(float);
  std::vector<PeerWires::Message> messages;
  for (ClientId client = 0; client < population(); ++client) {
    for (const MixingWeight& entry : plan_->row(static_cast<Rank>(client), round)) {
      if (entry.peer == client) continue;
      peer(entry.peer).sent += bytes;
      peer(client).received += bytes;
      messages.push_back({entry.peer, client, bytes, ready_[static_cast<std::size_t>(entry.peer)]});
    }
  }
  wires_.deliver(std::move(messages), round, ready_);
}

void PeerSimulation::mix_models(const std::map<ClientId, CompressedUpdate>& updates, Round round,
                                const std::vector<Seconds>& began) {
  const bool overlap = plan_->settings().overlap;
  const auto add = [&](ClientId client) {
    const auto added = peer(client).model.add(updates.at(client), *plain_);
    if (!added) throw std::logic_error("simulation: an update that was decoded before");
  };
  std::map<ClientId, SharedFloats> own;
  std::map<ClientId, Compressed> sent;
  for (const auto& [client, update] : updates) {
    if (!overlap) add(client);
    own[client] = peer(client).model.share();
    sent[client] =
        copies_ ? copies_->next(client, own[client], round) : encoded(own[client], client, client, round);
  }
  std::vector<PeerWires::Message> messages;
  for (const auto& [client, update] : updates) {
    Peer& one = peer(client);
    const auto row = plan_->row(static_cast<Rank>(client), round);
    std::map<ClientId, Compressed> arrived;
    for (const MixingWeight& entry : row) {
      if (entry.peer == client || !sent.contains(entry.peer)) continue;
      arrived[entry.peer] = sent.at(entry.peer);
      one.received += share_bytes(sent.at(entry.peer));
      one.sent += share_bytes(sent.at(client));
      const auto from = static_cast<std::size_t>(entry.peer);
      messages.push_back(
          {entry.peer, client, share_bytes(sent.at(entry.peer)), overlap ? began[from] : ready_[from]});
    }
    const auto rank = static_cast<Rank>(client);
    if (copies_) {
      one.model.approach(row, rank, own.at(client).values, *copies_, round, plan_->settings().consensus_step);
    } else if (one.model.mix(row, rank, own.at(client).values, arrived, *down_) > 0) {
      throw std::logic_error("simulation: a model that cannot be mixed");
    }
    if (overlap) add(client);
  }
  wires_.deliver(std::move(messages), round, ready_);
}

void PeerSimulation::go_freely(const std::function<void()>& look_for_stop) {
  for (ClientId client = 0; client < population() && !recorder_->end(); ++client) start(client);
  while (!recorder_->end()) {
    look_for_stop();
    if (events_.empty()) throw std::logic_error("simulation: nothing left to happen");
    auto next = events_.extract(events_.begin());
    now_ = std::max(now_, next.key().first);
    handle(std::move(next.mapped()));
    while (!to_show_.empty() && !recorder_->end()) show(to_show_.extract(to_show_.begin()).value());
    if (observer_) observer_();
  }
}

void PeerSimulation::start(ClientId client) {
  const Round round = peer(client).completed + 1;
  Seconds done = now_ + devices_.waiting_seconds(client, now_);
  done += devices_.training_seconds(data_.examples(client), client, round);
  begin_training(client);
  events_[{done, order_++}] = Event{EventKind::trained, client, client, 0, {}};
}

void PeerSimulation::handle(Event event) {
  Peer& one = peer(event.peer);
  switch (event.kind) {
    case EventKind::trained: {
      const auto update = trained(event.peer);
      if (!update) return;
      if (const auto added = one.model.add(*update, *plain_); !added)
        return lose(event.peer, added.fault().reason);
      const auto other = plan_->partner(static_cast<Rank>(event.peer), one.completed + 1,
                                        [this](Rank rank) { return !peer(rank).is_lost; });
      if (!other) return go_on(event.peer);
      const bool asks = plan_->settings().method == GossipMethod::pairwise;
      const double weight = asks ? 0 : one.model.halve_weight();
      post(EventKind::share, event.peer, *other,
           encoded(one.model.share(), event.peer, *other, one.completed + 1), weight);
      if (!asks) go_on(event.peer);
      return;
    }
    case EventKind::share: {
      if (one.is_lost) {
        // Nobody answers. GoSGD: what was sent is gone.
        if (plan_->settings().method == GossipMethod::pairwise && !peer(event.from).is_lost)
          go_on(event.from);
        return;
      }
      one.received += share_bytes(event.content);
      if (plan_->settings().method == GossipMethod::go_sgd) {
        if (!one.model.absorb(event.content, event.weight, *down_))
          throw std::logic_error("simulation: a model that cannot be absorbed");
        return;
      }
      auto half = one.model.half_difference(event.content, *down_);
      if (!half) throw std::logic_error("simulation: a model that cannot be averaged");
      Compressed difference = encoded(half.value(), event.peer, event.from, peer(event.from).completed + 1);
      if (!one.model.take(difference, *down_)) throw std::logic_error("simulation: a difference");
      return post(EventKind::difference, event.peer, event.from, std::move(difference), 0);
    }
    case EventKind::difference: {
      if (one.is_lost) return;
      one.received += share_bytes(event.content);
      if (!one.model.give(event.content, *down_)) throw std::logic_error("simulation: a difference");
      return go_on(event.peer);
    }
  }
}

void PeerSimulation::post(EventKind kind, ClientId from, ClientId to, Compressed content, double weight) {
  const std::size_t bytes = share_bytes(content);
  peer(from).sent += bytes;
  const Seconds time = wires_.deliver({from, to, bytes, now_}, peer(from).completed + 1);
  events_[{time, order_++}] = Event{kind, to, from, weight, std::move(content)};
}

// The round is complete, its exchange included.
void PeerSimulation::go_on(ClientId client) {
  complete(client);
  if (!recorder_->end()) start(client);
}

std::vector<PeerSimulation::InFlight> PeerSimulation::in_flight() const {
  std::vector<InFlight> messages;
  for (const auto& [due, event] : events_) {
    if (event.kind != EventKind::share) continue;
    FloatBuffer values(event.content.elements);
    if (!down_->decompress(event.content, values)) throw std::logic_error("simulation: a model on its way");
    messages.push_back({SharedFloats::of(std::move(values)), event.weight});
  }
  return messages;
}

}  // namespace gossamer
