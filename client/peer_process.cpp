#include "client/peer_process.h"

#include <algorithm>

#include "client/intervals.h"
#include "comms/codec.h"
#include "core/error.h"
#include "core/logging.h"

namespace gossamer {
namespace {

constexpr std::chrono::milliseconds kExchangePoll{50};
constexpr std::chrono::milliseconds kExchangeLook{
    2};                                          // how often a trainer looks up: its neighbours may wait
constexpr std::chrono::seconds kWordOfALoss{5};  // then a peer that misses another speaks for itself
constexpr std::chrono::microseconds kIdleCollective{100};  // between looks at a collective that does not move
constexpr int kBusyTurns = 50;                             // before these
constexpr int kTurnsBetweenLooks = 16;                     // in the middle of a step, at the network
constexpr int kBusyStepTurns = 1 << 14;

std::uint64_t share_bytes(const Compressed& content) { return kFrameHeaderBytes + content.payload.size(); }

}  // namespace

void sum_over(std::unique_ptr<Link> link, const Options& options, const Topology& topology,
              PeerPlace& place) {
  if (options.text("compression.up") == "none") {
    place.all_reduce = make_all_reduce(topology, std::move(link));
  } else {
    place.messages = std::make_unique<MessageExchange>(std::move(link));
  }
}

PeerProcess::PeerProcess(const Options& options, const FederatedData& data)
    : options_(options),
      run_id_(options.digest()),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      uniform_weights_(options.text("server.weighting") == "uniform"),
      exchanges_gradients_(algorithms().make(options)->exchanges_gradients()),
      lockstep_(options.text("sync.mode") == "bsp"),
      rounds_(options.integer("run.rounds")),
      client_(options, data),
      topology_(topologies().make(options)),
      plan_(topology_->gossip_plan(static_cast<int>(options.integer("data.clients")))),
      plain_(make_no_compressor(client_.model().layout()->size())),
      down_(down_compressors().make(options, *client_.model().layout())) {
  if (plan_ && sends_differences(options)) copies_.emplace(options, *client_.model().layout());
}

std::string PeerProcess::run(PeerPlace place) {
  place_ = std::move(place);
  last_heard_ = Clock::now();
  for (const ClientId client : place_.clients) peers_[client];
  if (place_.messages)
    mean_ = make_compressed_mean(options_, *client_.model().layout(), *topology_, place_.messages->self(),
                                 place_.messages->world_size());
  const bool began =
      await([&] { return std::ranges::all_of(peers_, [](const auto& entry) { return entry.second.here; }); });
  if (began) {
    if (place_.all_reduce && exchanges_gradients_) {
      gradient_rounds();
    } else if (place_.all_reduce || place_.messages) {
      all_reduce_rounds();
    } else if (lockstep_) {
      gossip_rounds();
    } else {
      gossip_freely();
    }
  }
  static_cast<void>(place_.network->flush(Clock::now() + kFlushTime));
  if (failed_) throw RunError(*end_);
  return *end_;
}

void PeerProcess::all_reduce_rounds() {
  const ClientId client = place_.clients.front();
  Peer& peer = peers_.at(client);
  sums_.resize(peer.model.values().size() + 1);
  while (await([&] { return peer.granted > peer.completed; })) {
    const Round round = peer.completed + 1;
    const auto update = train(client, round);
    if (!update) return;
    const double weight = uniform_weights_ ? 1 : update->info.weight;
    accept(peer.model.fill(*update, mean_ ? 1 : weight, *plain_, sums_), client);
    begin_mean(update->info, weight);
    for (int idle = 0;;) {
      const auto complete = mean_is_complete();
      if (!complete) {
        return give_up(complete.fault());
      }
      if (complete.value()) break;
      pump(Clock::now() + (++idle < kBusyTurns ? std::chrono::microseconds{0} : kIdleCollective));
      if (over()) return;
    }
    const ExchangeBytes bytes = end_mean();
    peer.model.add_mean(sums_);
    peer.sent += bytes.sent;
    peer.received += bytes.received;
    complete(client, update->info);
  }
}

// Of what is in sums_: a weighted sum and the weights', or, compressed, the mean and 1.
void PeerProcess::begin_mean(const UpdateInfo& info, double weight) {
  if (!mean_) return place_.all_reduce->start(sums_);
  mean_->begin(std::span(sums_).first(sums_.size() - 1), static_cast<float>(weight),
               {info.round, info.train_loss});
  place_.messages->start(mean_->routes(), *mean_);
}

Result<bool> PeerProcess::mean_is_complete() {
  if (!mean_) {
    const auto complete = place_.all_reduce->progress();
    if (!complete) return complete.fault();
    return complete.value() == 1;
  }
  auto complete = place_.messages->progress();
  if (!complete || !complete.value()) return complete;
  if (const auto finished = mean_->finish(); !finished) return finished.fault();
  return true;
}

ExchangeBytes PeerProcess::end_mean() {
  if (mean_) return place_.messages->bytes();
  static_cast<void>(place_.all_reduce->finish(Clock::now()));
  return all_reduce_bytes(*topology_, place_.all_reduce->self(), place_.all_reduce->world_size(),
                          sums_.size());
}

void PeerProcess::give_up(const Fault& fault) {
  // Others may have heard before us who is lost, and left: the recorder knows.
  const auto end = Clock::now() + kWordOfALoss;
  while (!over() && Clock::now() < end) pump(Clock::now() + kExchangePoll);
  if (over()) return;
  throw RunError("client " + std::to_string(fault.peer) + " is lost (" + fault.reason +
                 "); topology.name = " + options_.text("topology.name") + " cannot go on without it");
}

// Gradients are exchanged while the peers train, and their updates are one and the same.
void PeerProcess::gradient_rounds() {
  const ClientId client = place_.clients.front();
  Peer& peer = peers_.at(client);
  const auto idle = [this](int turns) {
    if (turns % kTurnsBetweenLooks != kTurnsBetweenLooks - 1) return;
    pump(Clock::now() + (turns < kBusyStepTurns ? std::chrono::microseconds{0} : kIdleCollective));
    if (over()) throw WorkCalledOff();
  };
  GradientExchange& exchange =
      exchange_.emplace(*place_.all_reduce, *topology_, exchange_settings(options_), idle);
  while (await([&] { return peer.granted > peer.completed; })) {
    try {
      const auto update = train(client, peer.completed + 1, &exchange);
      if (!update) return;
      accept(peer.model.add(*update, *plain_), client);
      const ExchangeBytes bytes = exchange.take_bytes();
      peer.sent += bytes.sent;
      peer.received += bytes.received;
      complete(client, update->info);
    } catch (const ExchangeBroken& broken) {
      training_ = false;
      return give_up(broken.fault());
    }
  }
}

void PeerProcess::gossip_rounds() {
  Peer& first = peers_.begin()->second;  // all are granted alike
  if (copies_ && first.completed > 0) {
    // Differences go on from the copies of a checkpoint, which each peer has of itself alone.
    for (const auto& [client, peer] : peers_)
      send_to_neighbours(FrameType::share, client, peer.completed, copies_->whole(client));
  }
  while (await([&] { return first.granted > first.completed; })) {
    const Round round = first.completed + 1;
    std::map<ClientId, CompressedUpdate> updates;
    std::map<ClientId, SharedFloats> own;
    for (auto& [client, peer] : peers_) {
      const auto send_own = [&, id = client] {
        own[id] = peers_.at(id).model.share();
        send_to_neighbours(copies_ ? FrameType::difference : FrameType::share, id, round,
                           encoded_for_all(id, own[id], round));
      };
      if (plan_->settings().overlap) send_own();
      auto update = train(client, round);
      if (!update) return;
      if (!plan_->settings().overlap) {
        accept(peer.model.add(*update, *plain_), client);
        send_own();
      }
      updates[client] = std::move(*update);
    }
    for (auto& [client, peer] : peers_) {
      const auto row = plan_->row(static_cast<Rank>(client), round);
      auto& arrived = arrived_[{client, round}];
      const bool complete_row = await([&, id = client] {
        return std::ranges::all_of(row, [&](const MixingWeight& entry) {
          return entry.peer == id || arrived.contains(entry.peer) || lost_.contains(entry.peer);
        });
      });
      if (!complete_row) return;
      mix(client, round, own.at(client));
      if (plan_->settings().overlap) accept(peer.model.add(updates.at(client), *plain_), client);
      for (const auto& [from, content] : arrived) peer.received += share_bytes(content);
      arrived_.erase({client, round});
      complete(client, updates.at(client).info);
    }
  }
}

// What all neighbours get of a model.
Compressed PeerProcess::encoded_for_all(ClientId client, const SharedFloats& model, Round round) {
  return copies_ ? copies_->next(client, model, round) : encoded(model, client, client, round);
}

void PeerProcess::send_to_neighbours(FrameType type, ClientId client, Round round,
                                     const Compressed& content) {
  for (const MixingWeight& entry : plan_->row(static_cast<Rank>(client), round)) {
    if (entry.peer != client) send(type, {client, entry.peer, round, 0, content});
  }
}

// With what has arrived from its neighbours; who has sent something malformed is left out.
void PeerProcess::mix(ClientId client, Round round, const SharedFloats& own) {
  PeerModel& model = peers_.at(client).model;
  const auto row = plan_->row(static_cast<Rank>(client), round);
  const auto& arrived = arrived_[{client, round}];
  std::size_t malformed = 0;
  if (!copies_) {
    malformed = model.mix(row, static_cast<Rank>(client), own.values, arrived, *down_);
  } else {
    for (const auto& [from, content] : arrived) {
      const bool known = !copies_->after(round - 1, from).empty();
      if (!copies_->add(from, content, round) && known) ++malformed;
    }
    model.approach(row, static_cast<Rank>(client), own.values, *copies_, round,
                   plan_->settings().consensus_step);
  }
  if (malformed > 0)
    log_warning("client " + std::to_string(client) + ": left out " + std::to_string(malformed) +
                " malformed models of its neighbours");
}

void PeerProcess::gossip_freely() {
  if (!await([&] { return peers_.begin()->second.granted > 0; })) return;
  while (!over() && !shown_last_) {
    for (auto& [client, peer] : peers_) {
      const auto update = train(client, peer.completed + 1);
      if (!update) break;
      accept(peer.model.add(*update, *plain_), client);
      exchange(client, peer.completed + 1);
      if (over()) return;
      complete(client, update->info);
      // All that is here: with short rounds others send as fast as this peer can take it in.
      while (!over() && pump(Clock::now())) {
      }
      if (over() || shown_last_) break;
    }
  }
  static_cast<void>(await([] { return false; }));  // others may still wait for an answer
}

// After a round of its own work, whenever that is.
void PeerProcess::exchange(ClientId client, Round round) {
  Peer& peer = peers_.at(client);
  const auto other = plan_->partner(static_cast<Rank>(client), round,
                                    [this](Rank candidate) { return !lost_.contains(candidate); });
  if (!other) return;
  if (plan_->settings().method == GossipMethod::go_sgd) {
    // Nobody answers, so where training is faster than the link, models would pile up in front of it: whoever
    // still sends its last one does not draw again.
    if (!place_.network->flush(Clock::now())) return;
    const double weight = peer.model.halve_weight();
    return send(FrameType::share,
                {client, *other, round, weight, encoded(peer.model.share(), client, *other, round)});
  }
  send(FrameType::share, {client, *other, round, 0, encoded(peer.model.share(), client, *other, round)});
  peer.waits_for = *other;
  // Others are served meanwhile, so nobody can wait in a circle.
  static_cast<void>(await([&] { return !peer.waits_for || lost_.contains(*peer.waits_for); }));
  peer.waits_for.reset();
}

bool PeerProcess::await(const std::function<bool()>& condition) {
  for (;;) {
    if (over()) return false;
    if (condition()) return true;
    if (end_ && std::ranges::all_of(peers_, [&](const auto& entry) { return drained(entry.second); }))
      return false;
    pump(Clock::now() + kExchangePoll);
  }
}

// Takes one frame, or waits for one; false where there was none.
bool PeerProcess::pump(Clock::time_point deadline) {
  if (place_.stop_requested && !end_ && place_.stop_requested()) {
    for (const ClientId client : place_.clients)
      place_.network->tell(encode_text(FrameType::leave, run_id_, client, "stopped by a signal"));
    end_ = "signal";
    stopped_ = true;
    return false;
  }
  if (!training_ && !set_aside_.empty()) {
    const Frame frame = std::move(set_aside_.front());
    set_aside_.pop_front();
    place_.record(frame);
    return true;
  }
  const auto frame = place_.network->receive(deadline);
  if (frame) {
    handle(frame.value());
    return true;
  }
  switch (frame.fault().kind) {
    case FaultKind::timeout:
      if (!end_ && Clock::now() - last_heard_ > place_.patience)
        throw RunError("no word from the server for " + std::to_string(place_.patience.count()) + " s");
      return false;
    case FaultKind::disconnected:
      lose(frame.fault());
      return true;
    case FaultKind::malformed:
      log_warning("dropped a frame: " + frame.fault().reason);
      return true;
  }
  return false;
}

void PeerProcess::handle(const Frame& frame) {
  const FrameHeader& header = frame.header;
  const auto peer = peers_.find(header.client);
  switch (header.type) {
    case FrameType::share:
    case FrameType::difference:
      if (auto share = decode_share(frame)) serve(header.type, std::move(share).value());
      return;
    case FrameType::report:
    case FrameType::state:
    case FrameType::leave:
      if (!place_.record) return;
      if (training_) {
        set_aside_.push_back(frame);  // who records may evaluate, on this process's replica
      } else {
        place_.record(frame);
      }
      return;
    default:
      break;
  }
  last_heard_ = Clock::now();
  switch (header.type) {
    case FrameType::model:
      if (peer != peers_.end()) begin(frame);
      break;
    case FrameType::grant:
      if (peer == peers_.end()) break;
      peer->second.granted = std::max(peer->second.granted, header.round);
      if (header.sequence == 1) peer->second.shown.insert(header.round);
      break;
    case FrameType::show:
      if (peer == peers_.end()) break;
      if (lockstep_ && peer->second.completed < header.round) {
        peer->second.shown.insert(header.round);
      } else {
        show(header.client);
        shown_last_ = !lockstep_ && header.round >= rounds_;
      }
      break;
    case FrameType::lost:
      lost_.insert(header.client);
      break;
    case FrameType::refuse:
      throw ConfigError("refused by the server: " + decode_text(frame).value_or("no reason"));
    case FrameType::finish:
      end_ = decode_text(frame).value_or("no reason");
      failed_ = is_failure(frame);
      break;
    default:
      break;
  }
}

void PeerProcess::begin(const Frame& frame) {
  Peer& peer = peers_.at(frame.header.client);
  if (peer.here) return;
  const std::size_t floats = client_.model().layout()->size();
  const bool more = mean_ || copies_;  // may stand behind the model
  FloatBuffer values(more ? std::max(floats, frame.payload.size() / sizeof(float)) : floats);
  accept(read_floats(frame, values), frame.header.client);
  if (mean_) accept(mean_->restore_leftovers(values), frame.header.client);
  if (copies_) accept(copies_->begin(frame.header.client, values, frame.header.round), frame.header.client);
  values.resize(floats);
  // A run begins with one model, which so is the copy of everybody.
  if (copies_ && frame.header.round == 0) {
    const Compressed initial = as_they_are(SharedFloats::of(FloatBuffer(values)));
    for (const MixingWeight& entry : plan_->row(static_cast<Rank>(frame.header.client), 1))
      accept(copies_->hold(entry.peer, initial, 0), frame.header.client);
  }
  peer.model = PeerModel(std::move(values), 1.0 / static_cast<double>(options_.integer("data.clients")));
  peer.completed = peer.granted = frame.header.round;
  peer.here = true;
  // What is for others that live here waits again.
  for (auto& [type, share] : std::exchange(early_, {})) serve(type, std::move(share));
}

// What another peer sent: kept for the end of the round it belongs to, or, where there are no common rounds,
// taken in at once.
void PeerProcess::serve(FrameType type, PeerShare share) {
  const auto found = peers_.find(share.to);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  if (!peer.here) {  // a neighbour that has begun already: the recorder's frames and its own come in any
                     // order
    if (std::ssize(early_) < (kRoundsAhead + 1) * options_.integer("data.clients") * std::ssize(peers_))
      early_.emplace_back(type, std::move(share));
    return;
  }
  const auto drop = [&](const Fault& fault) {
    log_warning("dropped what client " + std::to_string(share.from) + " sent to client " +
                std::to_string(share.to) + ": " + fault.reason);
  };
  if (copies_ && type == FrameType::share) {
    peer.received += share_bytes(share.content);
    if (const auto held = take_copy(share); !held) drop(held.fault());
    return;
  }
  if (lockstep_) {
    if (share.round > peer.completed && share.round <= peer.completed + kRoundsAhead)
      arrived_[{share.to, share.round}].try_emplace(share.from, std::move(share.content));
    return;
  }
  peer.received += share_bytes(share.content);
  if (type == FrameType::difference) {
    if (peer.waits_for == share.from) peer.waits_for.reset();
    if (const auto given = peer.model.give(share.content, *down_); !given) drop(given.fault());
    return;
  }
  if (plan_->settings().method == GossipMethod::go_sgd) {
    const auto absorbed = peer.model.absorb(share.content, share.weight, *down_);
    if (!absorbed) drop(absorbed.fault());
    return;
  }
  auto half = peer.model.half_difference(share.content, *down_);
  if (!half) return drop(half.fault());
  const Compressed difference = encoded(std::move(half).value(), share.to, share.from, share.round);
  if (const auto taken = peer.model.take(difference, *down_); !taken) return drop(taken.fault());
  send(FrameType::difference, {share.to, share.from, share.round, 0, difference});
}

Result<std::monostate> PeerProcess::take_copy(const PeerShare& share) {
  const auto row = plan_->row(static_cast<Rank>(share.to), share.round);
  const bool neighbour =
      std::ranges::any_of(row, [&](const MixingWeight& entry) { return entry.peer == share.from; });
  if (!neighbour || share.round != peers_.at(share.to).completed)
    return malformed("a copy that nobody waits for");
  return copies_->hold(share.from, share.content, share.round);
}

void PeerProcess::lose(const Fault& fault) {
  if (fault.peer < 0) {
    if (end_) return;
    throw RunError("the server is lost: " + fault.reason);
  }
  if (lost_.insert(fault.peer).second && !end_)
    log_warning("client " + std::to_string(fault.peer) + " is lost: " + fault.reason);
}

std::optional<CompressedUpdate> PeerProcess::train(ClientId client, Round round, GradientExchange* exchange) {
  const Frame model = encode_model(run_id_, round, client, 0, as_they_are(peers_.at(client).model.share()));
  const auto called_off = [this] {
    if (Clock::now() - last_look_ < kExchangeLook) return false;
    while (!over() && pump(Clock::now())) {
    }
    last_look_ = Clock::now();
    return over() || shown_last_;
  };
  try {
    training_ = true;
    auto update = client_.take_part({model, {}}, nullptr, called_off, exchange);
    training_ = false;
    last_heard_ = Clock::now();  // the recorder was not asked to speak meanwhile
    return accept(decode_update(accept(pass_through(accept(std::move(update), client)), client)), client);
  } catch (const WorkCalledOff&) {
    training_ = false;
    return std::nullopt;
  }
}

// `to` is `from` where all neighbours get the same.
Compressed PeerProcess::encoded(SharedFloats values, ClientId from, ClientId to, Round round) {
  Rng rng = message_rng(seed_, from, to, round);
  return down_->compress(std::move(values), {}, {round}, rng);
}

void PeerProcess::send(FrameType type, const PeerShare& share) {
  if (lost_.contains(share.to)) return;
  peers_.at(share.from).sent += share_bytes(share.content);
  place_.network->send(share.to, encode_share(run_id_, type, share));
}

void PeerProcess::complete(ClientId client, const UpdateInfo& info) {
  Peer& peer = peers_.at(client);
  ++peer.completed;
  place_.network->tell(
      encode_report(run_id_, {info, std::exchange(peer.sent, 0), std::exchange(peer.received, 0)}));
  if (peer.shown.erase(peer.completed) > 0) show(client);
}

void PeerProcess::show(ClientId client) {
  const Peer& peer = peers_.at(client);
  place_.network->tell(encode_state(run_id_, client, peer.completed,
                                    mean_     ? mean_->with_leftovers(peer.model.values())
                                    : copies_ ? copies_->with_copy(client, peer.model.values())
                                              : peer.model.share()));
}

// A peer that cannot go on says so to the others before it ends.
template <class T>
T PeerProcess::accept(Result<T> result, ClientId client) {
  if (result) return std::move(result).value();
  const std::string& reason = result.fault().reason;
  place_.network->tell(encode_text(FrameType::leave, run_id_, client, reason));
  static_cast<void>(place_.network->flush(Clock::now() + kFlushTime));
  throw RunError("client " + std::to_string(client) + ": " + reason);
}

}  // namespace gossamer
