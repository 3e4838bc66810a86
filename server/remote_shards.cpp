#include "server/remote_shards.h"

#include <algorithm>
#include <utility>

#include "comms/codec.h"
#include "core/error.h"
#include "core/logging.h"
#include "server/admission.h"
#include "server/intervals.h"

namespace gossamer {
namespace {

constexpr std::size_t kMostMoments = 16;  // sections that one order may be answered by, and no others

}  // namespace

ClientId id_of_shard(const Options& options, std::size_t shard) {
  return options.integer("data.clients") + static_cast<ClientId>(shard);
}

std::shared_ptr<RemoteShards> make_remote_shards(const Options& options,
                                                 const std::shared_ptr<const Parameters>& initial,
                                                 Transport& transport,
                                                 std::optional<std::chrono::duration<double>> farewell) {
  if (options.integer("server.shards") == 1) return nullptr;
  return std::make_shared<RemoteShards>(options, *initial->layout, transport, farewell);
}

RemoteShards::RemoteShards(const Options& options, const ParameterLayout& layout, Transport& transport,
                           std::optional<std::chrono::duration<double>> farewell)
    : options_(options),
      layout_(layout),
      transport_(transport),
      farewell_(farewell),
      run_id_(options.digest()),
      first_id_(id_of_shard(options, 0)),
      shards_(static_cast<std::size_t>(options.integer("server.shards") - 1)) {}

RemoteShards::~RemoteShards() {
  try {
    say_goodbye();
  } catch (const std::exception& error) {
    log_warning(std::string("the shards may not know that the run is over: ") + error.what());
  }
}

// Reads on until they have gone, as TransportDriver does with the clients.
void RemoteShards::say_goodbye() {
  std::size_t here = 0;
  for (const Place& shard : shards_) {
    if (shard.rank < 0) continue;
    ++here;
    static_cast<void>(transport_.send(shard.rank, encode_finish(run_id_, 0, end_.reason, end_.success)));
  }
  if (!farewell_) {
    static_cast<void>(transport_.flush(Transport::Clock::now() + kDriverFlush));
    return;
  }
  const auto deadline = Transport::Clock::now() + std::chrono::ceil<Transport::Clock::duration>(*farewell_);
  while (here > 0) {
    const auto message = transport_.receive(deadline);
    if (message) continue;
    if (message.fault().kind == FaultKind::timeout) return;
    if (message.fault().kind == FaultKind::disconnected && shard_at(message.fault().peer)) --here;
  }
}

void RemoteShards::post(std::size_t shard, const Frame& frame) {
  Place& place = shards_[shard - 1];
  if (place.rank < 0) {
    place.waiting.push_back(frame);
    return;
  }
  if (const auto sent = transport_.send(place.rank, frame); !sent)
    throw RunError(lost(shard, sent.fault().reason));
}

void RemoteShards::tell(const std::vector<ShardOrder>& orders) {
  for (std::span<const ShardOrder> rest = orders; !rest.empty();) {
    const auto now = rest.first(std::min(rest.size(), kOrdersPerFrame));
    rest = rest.subspan(now.size());
    const Frame frame = encode_orders(run_id_, now);
    for (std::size_t s = 1; s <= shards_.size(); ++s) post(s, frame);
  }
}

void RemoteShards::serve(SendModel& send) {
  auto orders = orders_of(send);
  for (ShardOrder& order : orders) order.value = ++servings_[order.client];
  tell(orders);
}

bool RemoteShards::is_current(const PartNotice& notice) const {
  const auto last = servings_.find(notice.client);
  return !notice.well || (last != servings_.end() && last->second == notice.serving);
}

std::vector<std::vector<ShardSection>> RemoteShards::show(std::vector<ShardOrder> orders) {
  for (std::size_t s = 1; s <= shards_.size(); ++s) {
    if (shards_[s - 1].rank < 0) throw RunError("shard " + std::to_string(s) + " has not come yet");
  }
  orders.push_back({ShardOrder::Kind::show_end});
  tell(orders);
  std::vector<std::vector<ShardSection>> shown(shards_.size());
  for (std::size_t open = shards_.size(); open > 0;) {
    auto message = transport_.receive(Transport::Clock::now() + kDriverPoll);
    if (!message) {
      const Fault& fault = message.fault();
      if (fault.kind == FaultKind::timeout) continue;
      if (const auto shard = shard_at(fault.peer); shard && fault.kind == FaultKind::disconnected)
        throw RunError(lost(*shard, fault.reason));
      set_aside_.push_back(std::move(message));
      continue;
    }
    const auto shard = shard_at(message.value().from);
    const FrameType type = message.value().frame.header.type;
    if (shard && type == FrameType::leave) throw RunError(lost(*shard, "it was stopped"));
    if (!shard || type != FrameType::section) {
      set_aside_.push_back(std::move(message));
      continue;
    }
    auto section = decode_section(message.value().frame);
    auto& sections = shown[*shard - 1];
    if (!section || sections.size() > orders.size() + kMostMoments)
      throw RunError(lost(*shard, section ? "it shows more than it was asked for" : section.fault().reason));
    if (section.value().kind == ShardSection::Kind::end) {
      --open;
    } else {
      sections.push_back(std::move(section).value());
    }
  }
  return shown;
}

void RemoteShards::restore(std::size_t shard, std::vector<ShardSection> sections) {
  sections.push_back({});
  for (ShardSection& section : sections) post(shard, encode_section(run_id_, std::move(section)));
}

Result<Message> RemoteShards::receive(Transport::Clock::time_point deadline) {
  if (set_aside_.empty()) return transport_.receive(deadline);
  auto first = std::move(set_aside_.front());
  set_aside_.pop_front();
  return first;
}

bool RemoteShards::is_id(ClientId id) const noexcept {
  return id > first_id_ && id <= first_id_ + std::ssize(shards_);
}

bool RemoteShards::admit(const Message& message) {
  const auto shard = static_cast<std::size_t>(message.frame.header.client - first_id_);
  Place& place = shards_[shard - 1];
  const auto refuse = [&](const std::string& reason) {
    log_warning("refused shard " + std::to_string(shard) + ": " + reason);
    static_cast<void>(transport_.send(message.from, encode_text(FrameType::refuse, run_id_, 0, reason)));
    return false;
  };
  const auto hello = decode_hello(message.frame);
  if (!hello) return refuse(hello.fault().reason);
  if (broken_) return refuse("the run has lost a shard");
  if (const auto reason = refusal_of(hello.value(), options_, layout_)) return refuse(*reason);
  if (place.rank >= 0 && place.rank != message.from)
    return refuse("server.id = " + std::to_string(shard) + " is taken by another shard");
  static_cast<void>(transport_.send(
      message.from, encode_text(FrameType::welcome, run_id_, message.frame.header.client, "")));
  if (place.rank >= 0) return false;
  place.rank = message.from;
  log_info("shard " + std::to_string(shard) + " has joined");
  while (!place.waiting.empty()) {
    const Frame frame = std::move(place.waiting.front());
    place.waiting.pop_front();
    post(shard, frame);
  }
  return true;
}

std::optional<std::size_t> RemoteShards::shard_at(Rank rank) const {
  const auto found = std::ranges::find(shards_, rank, &Place::rank);
  if (rank < 0 || found == shards_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - shards_.begin()) + 1;
}

void RemoteShards::meet(std::size_t shard, const std::string& address) {
  shards_[shard - 1].address = address;
}

bool RemoteShards::are_complete() const {
  return std::ranges::all_of(shards_, [](const Place& shard) { return shard.address.has_value(); });
}

std::vector<std::string> RemoteShards::addresses() const {
  std::vector<std::string> all{""};
  for (const Place& shard : shards_) all.push_back(shard.address.value_or(""));
  return all;
}

RemoteShards::Moved RemoteShards::count(std::size_t shard, const PartNotice& notice) {
  Place& place = shards_[shard - 1];
  const std::uint64_t down = std::max(notice.bytes_down, place.bytes_down);
  const std::uint64_t up = std::max(notice.bytes_up, place.bytes_up);
  return {down - std::exchange(place.bytes_down, down), up - std::exchange(place.bytes_up, up)};
}

std::string RemoteShards::lost(std::size_t shard, const std::string& reason) {
  broken_ = true;
  shards_[shard - 1].rank = -1;
  const std::string address = shards_[shard - 1].address.value_or("");
  return "shard " + std::to_string(shard) + (address.empty() ? "" : " at " + address) + " is lost (" +
         reason + "), and its part of the model with it";
}

}  // namespace gossamer
