#include "server/meeting_point.h"

#include <algorithm>
#include <vector>

#include "comms/codec.h"
#include "comms/peer_codec.h"
#include "core/error.h"
#include "core/logging.h"
#include "server/admission.h"
#include "server/intervals.h"

namespace gossamer {
namespace {

constexpr std::chrono::seconds kPingInterval{1};

bool is_address(const std::string& text) {
  return !text.empty() && text.size() <= kMaxAddressBytes &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7F; });
}

}  // namespace

MeetingPoint::MeetingPoint(const Options& options, Transport& transport)
    : options_(options), transport_(transport), run_id_(options.digest()) {}

std::string MeetingPoint::run(PeerCoordinator& coordinator, RunKeeper& keeper,
                              const std::function<bool()>& stop_requested) {
  coordinator_ = &coordinator;
  const Clock::time_point start = Clock::now();
  const Seconds offset = keeper.time_offset();
  recorder_.emplace(
      options_, coordinator, keeper,
      [this](ClientId client, const Frame& frame) {
        const auto guest = guests_.find(client);
        if (guest != guests_.end()) static_cast<void>(transport_.send(guest->second.rank, frame));
      },
      [start, offset] { return offset + std::chrono::duration<double>(Clock::now() - start).count(); });
  bool stopped = false;
  while (!recorder_->end()) {
    if (!stopped && stop_requested()) {
      stopped = true;
      recorder_->stop();
      continue;
    }
    auto message = transport_.receive(Clock::now() + kDriverPoll);
    if (message) {
      handle(message.value());
    } else if (message.fault().kind == FaultKind::disconnected) {
      lose(message.fault().peer, message.fault().reason);
    } else if (message.fault().kind == FaultKind::malformed) {
      log_warning("dropped a frame: " + message.fault().reason);
    }
    ping();
  }
  static_cast<void>(transport_.flush(Clock::now() + kDriverFlush));
  if (!recorder_->end()->success) throw RunError(recorder_->end()->reason);
  return recorder_->end()->reason;
}

void MeetingPoint::handle(const Message& message) {
  const FrameHeader& header = message.frame.header;
  if (header.type == FrameType::hello) return admit(message);
  const auto guest = guests_.find(header.client);
  if (guest == guests_.end() || guest->second.rank != message.from) {
    log_warning("dropped a frame in the name of client " + std::to_string(header.client) +
                " from somebody else");
    return;
  }
  if (header.type != FrameType::address) return recorder_->take(message.frame);
  const std::string address = decode_text(message.frame).value_or("");
  if (introduced_ || !is_address(address)) return;
  guest->second.address = address;
  introduce();
}

void MeetingPoint::admit(const Message& message) {
  const auto refuse = [&](const std::string& reason) {
    log_warning("refused a client: " + reason);
    static_cast<void>(transport_.send(message.from, encode_text(FrameType::refuse, run_id_, 0, reason)));
  };
  const auto hello = decode_hello(message.frame);
  if (!hello) return refuse(hello.fault().reason);
  if (const auto reason = refusal_of(hello.value(), options_, *coordinator_->model()->layout))
    return refuse(*reason);
  const ClientId client = id_for(message);
  if (client == kUnassignedClient) return refuse("all data.clients ids are taken");
  if (const auto reason = refusal_of_id(client, coordinator_->population())) return refuse(*reason);
  const auto known = guests_.find(client);
  if (introduced_) {
    if (known != guests_.end() && known->second.rank == message.from && coordinator_->is_present(client))
      return;  // asks again
    return refuse("client.id = " + std::to_string(client) +
                  ": the peers' run has begun; nobody can join it now");
  }
  if (known != guests_.end() && known->second.rank != message.from)
    return refuse("client.id = " + std::to_string(client) + " is taken by another client");
  guests_[client].rank = message.from;
  static_cast<void>(transport_.send(message.from, encode_text(FrameType::welcome, run_id_, client, "")));
}

// Once everybody is here.
void MeetingPoint::introduce() {
  if (std::ssize(guests_) < coordinator_->population()) return;
  std::vector<std::string> addresses;
  for (const auto& [client, guest] : guests_) {
    if (guest.address.empty()) return;
    addresses.push_back(guest.address);
  }
  introduced_ = true;
  for (const auto& [client, guest] : guests_)
    static_cast<void>(transport_.send(guest.rank, encode_roster(run_id_, client, addresses)));
  for (ClientId client = 0; client < coordinator_->population(); ++client) recorder_->join(client);
}

void MeetingPoint::lose(Rank rank, const std::string& reason) {
  const auto lost =
      std::ranges::find_if(guests_, [&](const auto& guest) { return guest.second.rank == rank; });
  if (lost == guests_.end()) return;
  const ClientId client = lost->first;
  guests_.erase(lost);
  if (introduced_) recorder_->leave(client, reason);
}

// A ping to a peer that is gone comes back as a disconnection; to those who live it says that we do.
void MeetingPoint::ping() {
  if (Clock::now() - last_ping_ < kPingInterval) return;
  last_ping_ = Clock::now();
  for (const auto& [client, guest] : guests_)
    static_cast<void>(transport_.send(guest.rank, encode_signal(FrameType::heartbeat, run_id_, client)));
}

// The id that it asks for, or the one it has, or a free one.
ClientId MeetingPoint::id_for(const Message& message) const {
  const ClientId asked = message.frame.header.client;
  if (asked != kUnassignedClient) return asked;
  for (const auto& [client, guest] : guests_) {
    if (guest.rank == message.from) return client;
  }
  for (ClientId client = 0; client < coordinator_->population(); ++client) {
    if (!guests_.contains(client)) return client;
  }
  return kUnassignedClient;
}

}  // namespace gossamer
