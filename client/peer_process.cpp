#include "client/peer_process.h"

#include <algorithm>

#include "client/intervals.h"
#include "comms/codec.h"
#include "core/error.h"
#include "core/logging.h"

namespace gossamer {
namespace {

// How often a trainer looks up: its neighbours may wait.
constexpr std::chrono::milliseconds kExchangeLook{2};

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

void PeerProcess::leave(ClientId client, const std::string& reason) {
  place_.network->tell(encode_text(FrameType::leave, run_id_, client, reason));
  static_cast<void>(place_.network->flush(Clock::now() + kFlushTime));
  throw RunError("client " + std::to_string(client) + ": " + reason);
}

}  // namespace gossamer
