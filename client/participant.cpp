#include "client/participant.h"

#include <algorithm>
#include <array>
#include <random>

#include "client/intervals.h"
#include "comms/codec.h"
#include "comms/peer_codec.h"
#include "core/error.h"
#include "core/logging.h"

namespace gossamer {
namespace {

using Clock = Transport::Clock;

constexpr std::chrono::milliseconds kLookInterval{10};  // how often a trainer looks up
constexpr std::size_t kKeptCheckpoints = 2;

}  // namespace

Participant::Participant(const Options& options, const FederatedData& data)
    : options_(options),
      client_(options, data),
      saves_state_(saves_client_state(options, false)),
      on_request_(options.text("sync.pull") == "on_request"),
      lockstep_(options.text("sync.mode") == "bsp"),
      schedule_(options),
      attempt_(std::random_device()()),
      models_(client_.shards().shards()) {
  const Placement placement = privacy_plan(options).placement;
  if (placement == Placement::client || placement == Placement::example)
    ledger_.emplace(options, CountingPlan{});
  const std::string& folder = options.text("client.state_dir");
  if (folder.empty()) return;
  if (on_request_)
    throw ConfigError(
        "client.state_dir = " + folder +
        ": with sync.pull = on_request clients are in the middle of their training at any time; "
        "leave it out");
  if (client_.keeps_state()) folder_.emplace(options, folder);
  saves_state_ = false;
}

Result<Parcel> Participant::answer(const Parcel& models, std::function<bool()> called_off) {
  const ClientId client = models.header().client;
  const Round round = models.header().round;
  const auto last = answers_.find(client);
  if (has_answered(models.header())) return last->second;
  if (saves_state_ && last != answers_.end() && last->second.header().round > round &&
      !rewind_to(round - 1)) {
    return Fault{FaultKind::malformed, "round " + std::to_string(round) + " is older than what client " +
                                           std::to_string(client) + " still holds"};
  }
  if (lockstep_) {
    std::erase_if(answers_, [&](const auto& answer) { return answer.second.header().round != round; });
  }

  if (!may_release(client, round)) {
    return Fault{FaultKind::malformed, "client " + std::to_string(client) +
                                           " is asked for more than privacy.target_epsilon allows"};
  }
  if (lockstep_) client_.rewind(client, round);
  if (folder_) look_back(client, round);
  ClientState* const state = state_of(client);
  auto update = client_.take_part(models, state, std::move(called_off));
  if (update && folder_) folder_->save(client, round, *state);
  if (update) answers_[client] = update.value();
  return update;
}

// A client counts for itself, so that its own budget does not rest on an honest coordinator.
bool Participant::may_release(ClientId client, Round round) {
  if (!ledger_) return true;
  const std::array asked{client};
  if (!ledger_->allows(asked)) return false;
  static_cast<void>(ledger_->spend(round, asked));
  return true;
}

void Participant::go_on(const FrameHeader& model, std::function<bool()> called_off) {
  client_.go_on(model, state_of(model.client), std::move(called_off));
}

bool Participant::has_answered(const FrameHeader& model) const {
  const auto last = answers_.find(model.client);
  return last != answers_.end() && last->second.header().round == model.round;
}

std::string Participant::serve(Transport& transport, std::vector<ClientId> clients,
                               std::chrono::seconds patience, const std::function<bool()>& stop_requested,
                               const Reach& reach) {
  std::vector<std::set<ClientId>> welcome(client_.shards().shards());
  std::size_t reached = 1;  // shards; the others are known once shard 0 says where they are
  Clock::time_point last_heard = Clock::now();
  Clock::time_point last_registration{};
  for (;;) {
    const Clock::time_point now = Clock::now();
    if (stop_requested()) {
      for (const ClientId client : clients) {
        static_cast<void>(transport.send(0, encode_text(FrameType::leave, 0, client, "stopped by a signal")));
      }
      static_cast<void>(transport.flush(now + kFlushTime));
      return "signal";
    }
    if (now - last_heard > patience) {
      throw RunError("no word from the server at " + transport.endpoint() + " for " +
                     std::to_string(patience.count()) + " s");
    }
    if (now - last_registration > kRegistrationInterval) {
      for (std::size_t s = 0; s < reached; ++s) {
        if (welcome[s].size() < clients.size()) register_clients(transport, static_cast<Rank>(s), clients);
      }
      last_registration = now;
    }
    auto message = next(transport, now + kPollInterval);
    if (!message) {
      if (message.fault().kind == FaultKind::malformed)
        log_warning("dropped a frame: " + message.fault().reason);
      if (message.fault().kind == FaultKind::disconnected) {
        log_warning("connection to the server lost: " + message.fault().reason);
        const auto shard = static_cast<std::size_t>(std::max(0, message.fault().peer));
        if (shard < welcome.size()) welcome[shard].clear();
        models_.clear();
        ++attempt_;
      }
      continue;
    }
    last_heard = Clock::now();
    const auto shard = static_cast<std::size_t>(message.value().from);
    if (shard >= welcome.size()) continue;  // nobody that serves
    const Frame& frame = message.value().frame;
    switch (frame.header.type) {
      case FrameType::welcome:
        if (clients.size() == 1 && clients[0] == kUnassignedClient) clients[0] = frame.header.client;
        if (shard == 0) welcomed(frame);
        // A server in several shards knows who wants the model once all have heard of it.
        if (welcome[shard].insert(frame.header.client).second && on_request_ && welcome.size() == 1)
          static_cast<void>(transport.send(0, encode_signal(FrameType::ready, 0, frame.header.client)));
        break;
      case FrameType::roster:
        if (reached < welcome.size()) {
          const auto shards = decode_roster(frame);
          if (!shards || shards.value().size() != welcome.size())
            throw RunError("the server's list of its shards is not one of " + std::to_string(welcome.size()));
          if (reach) reach(frame.header.client, shards.value());
          reached = welcome.size();
          last_registration = {};
        }
        break;
      case FrameType::model:
        if (const auto models = models_.add(shard, frame)) {
          if (!serve_model(transport, *models, clients.size())) {
            // A difference that makes no model here: who comes back is given one as a whole.
            for (auto& of_shard : welcome) of_shard.erase(models->header().client);
            ++attempt_;
            last_registration = {};
          }
          last_heard = Clock::now();  // training took its time; the server was not asked to speak meanwhile
        }
        break;
      case FrameType::cancel:
        models_.drop(frame.header.client, frame.header.round);
        break;
      case FrameType::refuse:
        throw ConfigError("refused by the server: " + decode_text(frame).value_or("no reason"));
      case FrameType::finish: {
        std::string reason = decode_text(frame).value_or("no reason");
        if (is_failure(frame)) throw RunError(reason);
        return reason;
      }
      default:
        break;
    }
  }
}

bool Participant::serve_model(Transport& transport, const Parcel& models, std::size_t clients) {
  const FrameHeader& work = models.header();
  const ClientId client = work.client;
  const bool again = has_answered(work);
  const auto called_off = [&] { return is_over(transport, work); };
  try {
    const Result<Parcel> update = answer(models, called_off);
    if (update && saves_state_ && answers_.size() == clients) keep(work.round);
    if (!update) {
      log_error("round " + std::to_string(work.round) + ": " + update.fault().reason);
      static_cast<void>(transport.send(0, encode_text(FrameType::leave, 0, client, update.fault().reason)));
      return base_of(work) == 0;
    }
    for (std::size_t s = 0; s < update.value().frames(); ++s)
      static_cast<void>(transport.send(static_cast<Rank>(s), update.value()[s]));
    if (!on_request_ || again) return true;
    go_on(work, called_off);
    static_cast<void>(transport.send(0, encode_signal(FrameType::ready, 0, client)));
  } catch (const WorkCalledOff&) {
  }
  return true;
}

Result<Message> Participant::next(Transport& transport, Clock::time_point deadline) {
  if (set_aside_.empty()) return transport.receive(deadline);
  Result<Message> first = std::move(set_aside_.front());
  set_aside_.pop_front();
  return first;
}

// Looks at what comes in while this process trains, at most every few milliseconds: whether the work is
// called off, or the run is over. Everything else is set aside, in order.
bool Participant::is_over(Transport& transport, const FrameHeader& work) {
  if (Clock::now() - last_look_ < kLookInterval) return false;
  last_look_ = Clock::now();
  for (;;) {
    auto message = transport.receive(last_look_);
    if (!message && message.fault().kind == FaultKind::timeout) return false;
    if (!message || message.value().frame.header.type != FrameType::cancel) {
      const bool run_is_over = message && message.value().frame.header.type == FrameType::finish;
      if (run_is_over) set_aside_.clear();
      set_aside_.push_back(std::move(message));
      if (run_is_over) return true;
      continue;
    }
    const FrameHeader called_off = message.value().frame.header;
    if (called_off.client == work.client && called_off.round == work.round) return true;
    // Of another client of this process, whose work has not begun.
    std::erase_if(set_aside_, [&](const Result<Message>& waiting) {
      if (!waiting) return false;
      const FrameHeader& header = waiting.value().frame.header;
      return header.type == FrameType::model && header.client == called_off.client &&
             header.round == called_off.round;
    });
  }
}

void Participant::register_clients(Transport& transport, Rank shard, const std::vector<ClientId>& clients) {
  const Hello hello{options_.digest(), client_.model().layout()->fingerprint(), 0, kWireVersion,
                    static_cast<std::int64_t>(client_.shards().shards())};
  for (const ClientId client : clients)
    static_cast<void>(transport.send(shard, encode_hello(0, client, hello, attempt_)));
}

// A coordinator that shares its folder says so; then states come from there and go there.
void Participant::welcomed(const Frame& frame) {
  const std::string folder = decode_text(frame).value_or("");
  if (!saves_state_ || folder.empty() || checkpoint_dir_) return;
  checkpoint_dir_ = folder;
  owner_ = "of-" + std::to_string(frame.header.client);
  const Round version = frame.header.round;
  if (version > 0) states_.load(CheckpointReader(client_checkpoint_path(*checkpoint_dir_, version, owner_)));
}

// Called once every client of this process has trained the round, before the last of their updates leaves.
void Participant::keep(Round round) {
  if (!schedule_.due(round)) return;
  CheckpointWriter writer;
  states_.save(writer);
  if (checkpoint_dir_) {
    writer.commit(client_checkpoint_path(*checkpoint_dir_, round, owner_));
    return;
  }
  kept_[round] = writer.encode();
  while (kept_.size() > kKeptCheckpoints) kept_.erase(kept_.begin());
}

// A client that has just begun goes on from its last run, and one whose coordinator went back goes back too.
void Participant::look_back(ClientId client, Round round) {
  const auto last = looked_back_.find(client);
  const bool began = last == looked_back_.end();
  const bool back = !began && last->second >= round;
  looked_back_[client] = round;
  if (!began && !back) return;
  if (auto state = folder_->before(round, client)) {
    states_.put(client, std::move(*state));
  } else if (back) {
    states_.put(client, {});
  }
}

bool Participant::rewind_to(Round round) {
  const auto kept = kept_.find(round);
  if (kept == kept_.end()) return false;
  states_.load(CheckpointReader(kept->second, "what clients keep of round " + std::to_string(round)));
  return true;
}

}  // namespace gossamer
