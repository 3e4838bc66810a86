#include "server/transport_driver.h"

#include <algorithm>
#include <set>

#include "comms/codec.h"
#include "comms/peer_codec.h"
#include "core/error.h"
#include "core/logging.h"
#include "server/admission.h"
#include "server/intervals.h"

namespace gossamer {
namespace {

constexpr std::chrono::milliseconds kLookInterval{10};  // how often children at rest are heard

std::chrono::duration<double> seconds(Seconds s) { return std::chrono::duration<double>(s); }

}  // namespace

TransportDriver::TransportDriver(const Options& options, Transport& transport, LocalClients local,
                                 TransportDriverSettings settings)
    : options_(options),
      transport_(transport),
      local_(std::move(local)),
      settings_(std::move(settings)),
      run_id_(options.digest()),
      encoder_(run_id_),
      local_models_(static_cast<std::size_t>(options.integer("server.shards"))) {
  if (settings_.shards != nullptr) gate_.emplace(static_cast<std::size_t>(options.integer("server.shards")));
}

std::string TransportDriver::run(Coordination& coordinator, RunKeeper& keeper,
                                 const std::function<bool()>& stop_requested) {
  coordinator_ = &coordinator;
  keeper_ = &keeper;
  start_ = Clock::now();
  time_offset_ = keeper.time_offset();
  for (const ClientId client : local_.clients) join(client);
  for (const ClientId client : local_.clients) {
    if (local_.go_on && !gate_) perform(coordinator.ready(client, now()));
  }
  return drive(stop_requested);
}

std::string TransportDriver::run(EdgeAggregator& aggregator, ParentLink& parent,
                                 const std::function<bool()>& stop_requested) {
  coordinator_ = &aggregator;
  parent_ = &parent;
  start_ = Clock::now();
  return drive(stop_requested);
}

std::string TransportDriver::drive(const std::function<bool()>& stop_requested) {
  try {
    return drive_to_end(stop_requested);
  } catch (const RunError& error) {
    if (!finish_) say_goodbye({false, error.what()});  // a shard was lost in the middle of something
    throw;
  }
}

std::string TransportDriver::drive_to_end(const std::function<bool()>& stop_requested) {
  while (!finish_) {
    if (stop_requested()) {
      say_goodbye({true, "signal"});
      return "signal";
    }
    if (deadline_ && now() >= deadline_->second) {
      const Round round = deadline_->first;
      deadline_.reset();
      perform(coordinator_->deadline(round, now()));
      continue;
    }
    Clock::time_point wake = Clock::now() + (has_local_work() ? std::chrono::milliseconds{0} : kDriverPoll);
    if (deadline_)
      wake = std::min(wake,
                      Clock::now() + std::chrono::ceil<Clock::duration>(seconds(deadline_->second - now())));
    if (parent_ != nullptr) {
      listen_to_parent(wake);
      if (finish_) break;
    }
    auto message = settings_.shards != nullptr ? settings_.shards->receive(wake) : transport_.receive(wake);
    count_control();
    if (message) {
      handle(message.value());
    } else if (message.fault().kind == FaultKind::disconnected) {
      lose_rank(message.fault().peer, message.fault().reason);
    } else if (message.fault().kind == FaultKind::malformed) {
      log_warning("dropped a frame: " + message.fault().reason);
    } else if (has_local_work()) {
      do_local_work();
    }
  }
  say_goodbye(*finish_);
  if (!finish_->success) throw RunError(finish_->reason);
  return finish_->reason;
}

void TransportDriver::perform(const Actions& first) {
  Actions actions = first;
  while (!actions.empty()) {
    Actions next;
    for (const Action& action : actions) {
      if (const auto* send = std::get_if<SendModel>(&action)) start(*send);
      if (const auto* abandon = std::get_if<Abandon>(&action)) call_off(*abandon);
      if (const auto* commit = std::get_if<Commit>(&action)) {
        deadline_.reset();
        const auto accuracy = keeper_->commit(*commit, *coordinator_);
        next = keeper_->out_of_budget()
                   ? Actions{Finish{true, RunKeeper::kOutOfBudget}}
                   : coordinator_->committed(accuracy, now());  // the next round begins after the evaluation
      }
      if (const auto* report = std::get_if<Report>(&action)) parent_->send(report->update);
      if (const auto* finish = std::get_if<Finish>(&action)) finish_ = *finish;
    }
    actions = std::move(next);
  }
}

// Who speaks next is known: the parent where the children rest, and otherwise a child.
void TransportDriver::listen_to_parent(Clock::time_point& wake) {
  const bool rests = parent_->is_awaited();
  perform(parent_->listen(rests ? std::min(wake, Clock::now() + kLookInterval) : Clock::now(), now()));
  if (rests) wake = Clock::now();
}

// The payload is hashed once; each client gets it with a header of its own.
void TransportDriver::start(const SendModel& send) {
  if (keeper_ != nullptr && !keeper_->spend(send)) {
    finish_ = {true, RunKeeper::kOutOfBudget};
    return;
  }
  if (send.deadline) deadline_ = {send.round, *send.deadline};
  const Frame& model =
      encoder_.encode(send.round, send.clients.front(), send.model, {}, send.terms, send.bases).first;
  for (const ClientId client : send.clients) {
    const Frame frame = readdress(model, client);
    if (keeper_ != nullptr) keeper_->count_down(frame.wire_bytes());
    if (const auto peer = peers_.find(client); peer != peers_.end()) {
      static_cast<void>(transport_.send(peer->second.rank, frame));  // a lost peer is reported by receive()
    } else if (auto models = local_models_.add(0, frame)) {
      local_work_.push_back(std::move(*models));
    }
  }
  // Before this process trains: a transport without a thread of its own sends only while it is called.
  if (!local_work_.empty()) static_cast<void>(transport_.flush(Clock::now() + kDriverFlush));
}

void TransportDriver::call_off(const Abandon& abandon) {
  for (const ClientId client : abandon.clients) {
    std::erase_if(local_work_, [&](const Parcel& work) {
      return work.header().client == client && work.header().round == abandon.round;
    });
    local_models_.drop(client, abandon.round);
    if (const auto peer = peers_.find(client); peer != peers_.end()) {
      static_cast<void>(transport_.send(peer->second.rank,
                                        encode_signal(FrameType::cancel, run_id_, client, abandon.round)));
    }
  }
}

// One client's; the others' frames are looked at in between. Answers come before training that nobody waits
// for.
void TransportDriver::do_local_work() {
  if (local_work_.empty()) {
    const FrameHeader model = local_training_.front();
    local_training_.pop_front();
    local_.go_on(model);
    return ready(model.client);
  }
  const Parcel models = std::move(local_work_.front());
  local_work_.erase(local_work_.begin());
  auto received = pass_through(models);
  auto update = received ? local_.answer(received.value()) : std::move(received);
  if (update) update = pass_through(update.value());
  if (!update) return leave(models.header().client, update.fault().reason);
  if (local_.go_on) local_training_.push_back(models.header());
  for (std::size_t s = 1; s < update.value().frames(); ++s)
    static_cast<void>(transport_.send(settings_.shards->rank_of(s), update.value()[s]));
  handle_update(update.value().first);
}

void TransportDriver::handle(const Message& message) {
  const FrameHeader& header = message.frame.header;
  if (keeper_ != nullptr && header.type != FrameType::update && header.type != FrameType::model)
    keeper_->count_control(message.frame.wire_bytes());
  if (settings_.shards != nullptr) {
    if (const auto shard = settings_.shards->shard_at(message.from)) return handle_shard(*shard, message);
    if (header.type == FrameType::hello && settings_.shards->is_id(header.client)) {
      settings_.shards->admit(message);
      return;
    }
  }
  if (header.type == FrameType::hello) return admit(message);
  if (!is_from_member(header.type)) {
    log_warning("dropped a frame of type " + std::to_string(static_cast<int>(header.type)) +
                ", which no client sends");
    return;
  }
  const auto sender = peers_.find(header.client);
  if (sender == peers_.end() || sender->second.rank != message.from) {
    log_warning("dropped a frame in the name of client " + std::to_string(header.client) +
                " from somebody else");
    return;
  }
  if (header.type == FrameType::update) handle_update(message.frame);
  if (header.type == FrameType::ready) ready(header.client);
  if (header.type == FrameType::leave) {
    const std::string reason = decode_text(message.frame).value_or("no reason given");
    log_warning(coordinator_->children().name_of(header.client) + " leaves: " + reason);
    peers_.erase(sender);
    leave(header.client, reason);
  }
}

void TransportDriver::admit(const Message& message) {
  const auto refuse = [&](const std::string& reason) {
    log_warning("refused a client: " + reason);
    static_cast<void>(transport_.send(message.from, encode_text(FrameType::refuse, run_id_, 0, reason)));
  };
  const auto hello = decode_hello(message.frame);
  if (!hello) return refuse(hello.fault().reason);
  if (const auto reason = refusal_of(hello.value(), options_, coordinator_->layout())) return refuse(*reason);
  ClientId client = message.frame.header.client;
  if (client == kUnassignedClient) {
    // A client that asks again has its number already.
    const auto known =
        std::ranges::find_if(peers_, [&](const auto& p) { return p.second.rank == message.from; });
    client = known != peers_.end() ? known->first : free_client();
    if (client == kUnassignedClient)
      return refuse("all data.clients = " + std::to_string(coordinator_->population()) + " ids are taken");
  }
  if (const auto reason = refusal_of_id(client, coordinator_->population(), coordinator_->children()))
    return refuse(*reason);
  const auto taken = peers_.find(client);
  // It may still be waiting for connections to other shards.
  const bool is_here = gate_ ? gate_->has_link(client, 0) : coordinator_->is_present(client);
  if (taken != peers_.end() && taken->second.rank != message.from && is_here) {
    return refuse("client.id = " + std::to_string(client) + " is taken by another client");
  }
  const std::uint64_t attempt = message.frame.header.sequence;
  // A server that was busy finds the hellos of a client that kept asking.
  const bool again = taken != peers_.end() && taken->second.rank == message.from &&
                     taken->second.attempt == attempt && coordinator_->is_present(client);
  peers_[client] = {message.from, attempt};
  Frame welcome = encode_text(FrameType::welcome, run_id_, client, settings_.shared_checkpoint_dir);
  welcome.header.round = coordinator_->version();
  static_cast<void>(transport_.send(message.from, welcome));
  if (again) return;
  log_debug(coordinator_->children().name_of(client) + " has joined");
  join(client);
}

// Of a server in several shards a client takes part once it has a connection to each.
void TransportDriver::join(ClientId client) {
  if (!gate_) return perform(coordinator_->joined(client, now()));
  if (const auto peer = peers_.find(client); peer != peers_.end() && settings_.shards->are_complete())
    static_cast<void>(
        transport_.send(peer->second.rank, encode_roster(run_id_, client, settings_.shards->addresses())));
  if (gate_->link(client, 0)) begin(client);
}

void TransportDriver::leave(ClientId client, const std::string& reason) {
  if (gate_) gate_->unlink(client, 0);
  perform(coordinator_->left(client, reason, now()));
}

void TransportDriver::handle_update(const Frame& frame) {
  if (keeper_ != nullptr) keeper_->count_up(frame.wire_bytes());
  ++updates_[frame.header.client];
  const auto update = decode_update(frame);
  if (!update) return leave(frame.header.client, update.fault().reason);
  if (!gate_) return take_in(update.value());
  if (const auto whole = gate_->part(update.value())) take_in(*whole);
}

void TransportDriver::take_in(const CompressedUpdate& update) {
  const Actions actions = coordinator_->arrived(update, now());
  if (keeper_ != nullptr) keeper_->show(coordinator_->progress());
  perform(actions);
  if (asked_.erase(update.info.client) > 0) ready(update.info.client);
}

// Where parts of its update are still on their way, it asks once they are here.
void TransportDriver::ready(ClientId client) {
  if (gate_ && gate_->is_open(client)) {
    asked_.insert(client);
  } else {
    perform(coordinator_->ready(client, now()));
  }
}

void TransportDriver::lose_rank(Rank rank, const std::string& reason) {
  if (settings_.shards != nullptr) {
    if (const auto shard = settings_.shards->shard_at(rank))
      throw RunError(settings_.shards->lost(*shard, reason));
  }
  std::vector<ClientId> lost;
  for (const auto& [client, peer] : peers_) {
    if (peer.rank == rank) lost.push_back(client);
  }
  for (const ClientId client : lost) {
    log_warning(coordinator_->children().name_of(client) + " is lost: " + reason);
    peers_.erase(client);
    leave(client, reason);
  }
}

// What another shard says of itself and of the clients; or its range of a model, for a client of this
// process.
void TransportDriver::handle_shard(std::size_t shard, const Message& message) {
  RemoteShards& shards = *settings_.shards;
  const FrameHeader& header = message.frame.header;
  const ClientId client = header.client;
  if (header.type == FrameType::hello) {
    shards.admit(message);
    return;
  }
  if (header.type == FrameType::leave)
    throw RunError(shards.lost(shard, decode_text(message.frame).value_or("no reason given")));
  if (header.type == FrameType::address) {
    shards.meet(shard, decode_text(message.frame).value_or(""));
    if (shards.are_complete()) introduce();
    return;
  }
  if (client >= coordinator_->population()) return;
  switch (header.type) {
    case FrameType::linked:
      if (gate_->link(client, shard)) begin(client);
      break;
    case FrameType::lost:
      if (gate_->unlink(client, shard))
        perform(coordinator_->left(client, "shard " + std::to_string(shard) + " has lost it", now()));
      break;
    case FrameType::part: {
      const auto notice = decode_part(message.frame);
      if (!notice) break;
      const RemoteShards::Moved moved = shards.count(shard, notice.value());
      keeper_->count_down(moved.down);
      keeper_->count_up(moved.up);
      if (!shards.is_current(notice.value())) break;
      if (const auto whole = gate_->part(shard, client, header.round, notice.value().well)) take_in(*whole);
      break;
    }
    case FrameType::model:
      if (std::ranges::find(local_.clients, client) == local_.clients.end()) break;
      if (auto models = local_models_.add(shard, message.frame)) local_work_.push_back(std::move(*models));
      break;
    default:
      break;
  }
}

// It has connections to all shards, and perhaps lost what it had.
void TransportDriver::begin(ClientId client) {
  gate_->forget(client);
  asked_.erase(client);
  perform(coordinator_->joined(client, now()));
  if (options_.text("sync.pull") == "on_request") perform(coordinator_->ready(client, now()));
}

// All shards are here: clients are told where.
void TransportDriver::introduce() {
  for (const auto& [client, peer] : peers_)
    static_cast<void>(
        transport_.send(peer.rank, encode_roster(run_id_, client, settings_.shards->addresses())));
  const std::int64_t count = options_.integer("server.shards");
  const Hello hello{options_.digest(), coordinator_->layout().fingerprint(), 0, kWireVersion, count};
  for (const ClientId client : local_.clients) {
    for (std::size_t s = 1; s < static_cast<std::size_t>(count); ++s)
      static_cast<void>(transport_.send(settings_.shards->rank_of(s), encode_hello(run_id_, client, hello)));
  }
}

void TransportDriver::say_goodbye(const Finish& end) {
  if (parent_ != nullptr) parent_->say_goodbye(end.reason);
  if (settings_.shards != nullptr) settings_.shards->ended(end);  // the model may still be asked for
  for (const auto& [client, count] : updates_)
    log_debug(coordinator_->children().name_of(client) + ": " + std::to_string(count) + " updates");
  for (const auto& [client, peer] : peers_) {
    static_cast<void>(transport_.send(peer.rank, encode_finish(run_id_, client, end.reason, end.success)));
  }
  if (settings_.farewell) {
    wait_for_departures(end);
  } else {
    static_cast<void>(transport_.flush(Clock::now() + kDriverFlush));
  }
  count_control();
}

// Reads on until the clients have gone, which they do once they know. A connection that is closed with bytes
// unread is reset, and then the other side may lose what it has not read yet: the end of the run.
void TransportDriver::wait_for_departures(const Finish& end) {
  const auto deadline = Clock::now() + std::chrono::ceil<Clock::duration>(*settings_.farewell);
  std::set<Rank> here;
  for (const auto& [client, peer] : peers_) here.insert(peer.rank);
  while (!here.empty()) {
    const auto message = transport_.receive(deadline);
    if (message) {
      const FrameHeader& header = message.value().frame.header;
      if (keeper_ != nullptr) keeper_->count_control(message.value().frame.wire_bytes());
      // One that comes, or comes back, is told too.
      if (header.type != FrameType::hello) continue;
      here.insert(message.value().from);
      static_cast<void>(transport_.send(message.value().from,
                                        encode_finish(run_id_, header.client, end.reason, end.success)));
    } else if (message.fault().kind == FaultKind::disconnected) {
      here.erase(message.fault().peer);
    } else if (message.fault().kind == FaultKind::timeout) {
      return;
    }
  }
}

ClientId TransportDriver::free_client() const {
  const ClientId first = coordinator_->children().first;
  for (ClientId client = first; client < first + coordinator_->population(); ++client) {
    if (!peers_.contains(client)) return client;
  }
  return kUnassignedClient;
}

// Both directions: what this side sent, by the transport's own count, and what it received.
void TransportDriver::count_control() {
  if (keeper_ == nullptr) return;
  const std::uint64_t sent = transport_.traffic().control_bytes;
  keeper_->count_control(sent - control_counted_);
  control_counted_ = sent;
}

Seconds TransportDriver::now() const {
  return time_offset_ + std::chrono::duration<double>(Clock::now() - start_).count();
}

}  // namespace gossamer
