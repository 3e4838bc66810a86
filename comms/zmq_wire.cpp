#include "comms/zmq_wire.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "comms/zmq_socket.h"
#include "core/error.h"

namespace gossamer {
namespace {

constexpr std::string_view kRoutingPrefix = "gossamer-client-";
// A client that has an id takes over its own place after a restart; one that asks for an id is nobody yet.
std::string routing_id(ClientId client) {
  if (client != kUnassignedClient) return std::string(kRoutingPrefix) + std::to_string(client);
  std::random_device entropy;
  return std::string(kRoutingPrefix) + "new-" + std::to_string(entropy()) + "-" + std::to_string(entropy());
}

// ZMTP's own commands count as messages for ZMQ_MAXMSGSIZE; none of them is as large as this.
constexpr std::int64_t kSmallestMessageLimit = 4096;
// Complete frames that libzmq holds for one peer before it stops reading from that peer's connection.
constexpr int kReceiveHighWater = 16;

// The memory behind a message part that libzmq sends without copying it.
struct Kept {
  HeaderBytes header;
  SharedBytes payload;
  std::shared_ptr<const Departure> departure;
};

void release_kept(void*, void* kept) { std::unique_ptr<Kept>(static_cast<Kept*>(kept)).reset(); }

// The parts of a frame: the header, then the payload if there is one. The last part keeps the frame.
std::vector<zmq::message_t> parts_of(const Outgoing& outgoing) {
  auto kept = std::make_unique<Kept>(
      Kept{encode_header(outgoing.frame.header), outgoing.frame.payload, outgoing.departure});
  std::span<const std::byte> last = kept->header;
  std::vector<zmq::message_t> parts;
  if (kept->payload.size() > 0) {
    parts.emplace_back(kept->header.data(), kept->header.size());
    last = kept->payload.bytes;
  }
  // libzmq takes a mutable pointer and does not write through it on tcp and ipc.
  parts.emplace_back(const_cast<std::byte*>(last.data()), last.size(), release_kept, kept.get());
  (void)kept.release();  // now libzmq's, until release_kept()
  return parts;
}

// Reads what follows the first part of a message that is already here. Parts beyond the second are dropped.
struct Parts {
  zmq::message_t header;
  zmq::message_t payload;
  std::size_t count = 0;
};

Parts receive_parts(zmq::socket_t& socket, zmq::message_t first) {
  Parts parts;
  parts.header = std::move(first);
  parts.count = 1;
  for (bool more = parts.header.more(); more; ++parts.count) {
    zmq::message_t part;
    receive_zmq_part(socket, part);
    more = part.more();
    if (parts.count == 1) parts.payload = std::move(part);
  }
  return parts;
}

// An empty payload has no part of its own.
Result<Frame> decode(Parts parts, std::uint64_t max_payload_bytes) {
  if (parts.count > 2) {
    return Fault{FaultKind::malformed, "message of " + std::to_string(parts.count) + " parts"};
  }
  if (parts.count == 2 && parts.payload.size() == 0) {
    return Fault{FaultKind::malformed, "empty second part"};
  }
  auto header = decode_header({parts.header.data<std::byte>(), parts.header.size()}, max_payload_bytes);
  if (!header) return header.fault();
  SharedBytes payload;
  if (parts.count == 2) {
    auto message = std::make_shared<zmq::message_t>(std::move(parts.payload));
    const std::span<const std::byte> bytes{message->data<std::byte>(), message->size()};
    payload = {std::move(message), bytes};
  }
  return decode_frame(header.value(), std::move(payload));
}

void apply(zmq::socket_t& socket, const ZmqLimits& limits, bool ipv6) {
  const auto ms = [](std::chrono::milliseconds time) { return static_cast<int>(time.count()); };
  socket.set(zmq::sockopt::linger, ms(limits.linger));
  socket.set(zmq::sockopt::sndhwm, static_cast<int>(limits.queue_frames));
  socket.set(zmq::sockopt::rcvhwm, kReceiveHighWater);
  socket.set(zmq::sockopt::maxmsgsize,
             std::max(kSmallestMessageLimit, static_cast<std::int64_t>(limits.max_payload_bytes)));
  socket.set(zmq::sockopt::heartbeat_ivl, ms(limits.heartbeat_interval));
  socket.set(zmq::sockopt::heartbeat_timeout, ms(limits.heartbeat_timeout));
  socket.set(zmq::sockopt::ipv6, ipv6);
}

class RouterWire final : public Wire {
 public:
  RouterWire(zmq::context_t& context, const ZmqServerSettings& settings)
      : settings_(settings),
        socket_(context, zmq::socket_type::router),
        monitor_(context, socket_, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) {
    const ZmqAddress address = parse_zmq_address("server.listen", settings.listen);
    if (!address.loopback && !settings.insecure) {
      throw ConfigError("server.listen = " + settings.listen +
                        ": listening beyond loopback without keys needs security.insecure = true; "
                        "tcp://127.0.0.1:PORT does not");
    }
    apply(socket_, settings.limits, address.ipv6);
    socket_.set(zmq::sockopt::router_mandatory, true);
    socket_.set(zmq::sockopt::router_handover, true);
    socket_.set(zmq::sockopt::backlog, 1024);
    try {
      socket_.bind(address.text);
    } catch (const zmq::error_t& error) {
      throw TransportError("server.listen = " + settings.listen + ": " + error.what());
    }
    endpoint_ = socket_.get(zmq::sockopt::last_endpoint);
  }

  Rank self() const noexcept override { return 0; }
  std::string endpoint() const override { return endpoint_; }
  zmq::socket_t& socket() noexcept override { return socket_; }
  zmq::socket_t& monitor() noexcept override { return monitor_.socket(); }
  bool tells_writable() const noexcept override { return false; }

  Sent write(const Outgoing& outgoing) override {
    const std::string& name = names_.at(static_cast<std::size_t>(outgoing.to) - 1);
    try {
      const auto more = zmq::send_flags::sndmore | zmq::send_flags::dontwait;
      if (!socket_.send(zmq::buffer(name), more)) return Sent::blocked;
      // Room was found with the first part: the others cannot block.
      auto parts = parts_of(outgoing);
      for (std::size_t i = 0; i < parts.size(); ++i) {
        (void)socket_.send(parts[i], i + 1 < parts.size() ? more : zmq::send_flags::dontwait);
      }
      return Sent::yes;
    } catch (const zmq::error_t& error) {
      if (error.num() == EHOSTUNREACH) return Sent::gone;
      throw;
    }
  }

  bool read(const Sink& sink) override {
    zmq::message_t id;
    if (!socket_.recv(id, zmq::recv_flags::dontwait)) return false;
    zmq::message_t first;
    receive_zmq_part(socket_, first);
    const int fd = zmq_msg_get(first.handle(), ZMQ_SRCFD);  // -1 from a peer that speaks an old ZMTP
    Parts parts = receive_parts(socket_, std::move(first));

    // A descriptor is reused as soon as it is free. If this message came over a new connection with an old
    // number, then libzmq told us before that the old one was lost and the new one accepted.
    note_events();
    if (const auto change = changes_.find(fd); change != changes_.end() && change->second.accepted > 0) {
      --change->second.accepted;
      --change->second.lost;
      report_loss(fd, sink);
    }

    Result<Frame> frame = fd < 0 ? Fault{FaultKind::malformed, "not a ZMTP 3 peer"}
                                 : decode(std::move(parts), settings_.limits.max_payload_bytes);
    const std::string name = id.to_string();
    auto known = ranks_.find(name);
    if (known == ranks_.end() && frame && names_.size() < settings_.max_peers) {
      names_.push_back(name);
      known = ranks_.emplace(name, static_cast<Rank>(names_.size())).first;
    }
    const Rank rank = known == ranks_.end() ? -1 : known->second;
    if (!frame) {
      sink(Fault{FaultKind::malformed, printable(name) + ": " + frame.fault().reason, rank});
    } else if (rank < 0) {
      sink(Fault{FaultKind::malformed,
                 printable(name) + ": more than " + std::to_string(settings_.max_peers) + " peers"});
    } else {
      hold(fd, rank);
      sink(Message{rank, std::move(frame).value()});
    }
    return true;
  }

  void note_events() override {
    while (const auto event = monitor_.next()) {
      if (event->kind == ZMQ_EVENT_DISCONNECTED) {
        ++changes_[event->fd].lost;
      } else if (const auto change = changes_.find(event->fd); change != changes_.end()) {
        ++change->second.accepted;
      }
    }
  }

  void report_losses(const Sink& sink) override {
    for (const auto& [fd, change] : changes_) {
      if (change.lost > 0) report_loss(fd, sink);
    }
    changes_.clear();
  }

 private:
  // What became of a descriptor since the last report: it was lost, perhaps accepted anew, lost again, ...
  struct Change {
    int lost = 0;
    int accepted = 0;
  };

  static std::string printable(const std::string& name) {
    std::string text = name.substr(0, 64);
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
  }

  // Remembers over which connection the peer spoke last.
  void hold(int fd, Rank rank) {
    const auto [entry, is_new] = holders_.try_emplace(fd, rank);
    if (!is_new && entry->second == rank) return;
    entry->second = rank;
    std::erase_if(holders_, [&](const auto& other) { return other.second == rank && other.first != fd; });
  }

  void report_loss(int fd, const Sink& sink) {
    const auto holder = holders_.find(fd);
    if (holder == holders_.end()) return;  // it never said anything, or speaks over a newer connection
    const Rank rank = holder->second;
    holders_.erase(holder);
    sink(Fault{FaultKind::disconnected,
               "connection to " + printable(names_.at(static_cast<std::size_t>(rank) - 1)) + " was lost",
               rank});
  }

  ZmqServerSettings settings_;
  zmq::socket_t socket_;
  ZmqMonitor monitor_;
  std::string endpoint_;
  std::vector<std::string> names_;  // routing ids; rank r is names_[r - 1]
  std::unordered_map<std::string, Rank> ranks_;
  std::unordered_map<int, Rank> holders_;  // connection -> the peer that speaks over it
  std::unordered_map<int, Change> changes_;
};

class DealerWire final : public Wire {
 public:
  DealerWire(zmq::context_t& context, const ZmqClientSettings& settings)
      : settings_(settings),
        socket_(context, zmq::socket_type::dealer),
        monitor_(context, socket_, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) {
    const ZmqAddress address = parse_zmq_address("server.connect", settings.connect);
    endpoint_ = address.text;
    apply(socket_, settings.limits, address.ipv6);
    socket_.set(zmq::sockopt::routing_id, routing_id(settings.client));
    socket_.set(zmq::sockopt::reconnect_ivl, static_cast<int>(settings.reconnect_min.count()));
    socket_.set(zmq::sockopt::reconnect_ivl_max, static_cast<int>(settings.reconnect_max.count()));
    // Only a connection that stands has a queue, and the queue goes with it.
    socket_.set(zmq::sockopt::immediate, true);
    try {
      socket_.connect(address.text);
    } catch (const zmq::error_t& error) {
      throw ConfigError("server.connect = " + settings.connect + ": " + error.what() + "; " +
                        std::string(kZmqAddresses));
    }
  }

  Rank self() const noexcept override { return 1; }
  std::string endpoint() const override { return endpoint_; }
  zmq::socket_t& socket() noexcept override { return socket_; }
  zmq::socket_t& monitor() noexcept override { return monitor_.socket(); }
  bool tells_writable() const noexcept override { return true; }

  Sent write(const Outgoing& outgoing) override {
    if ((socket_.get(zmq::sockopt::events) & ZMQ_POLLOUT) == 0) return Sent::blocked;
    auto parts = parts_of(outgoing);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto last = i + 1 == parts.size() ? zmq::send_flags::none : zmq::send_flags::sndmore;
      if (!socket_.send(parts[i], last | zmq::send_flags::dontwait)) return Sent::blocked;
    }
    return Sent::yes;
  }

  bool read(const Sink& sink) override {
    zmq::message_t first;
    if (!socket_.recv(first, zmq::recv_flags::dontwait)) return false;
    auto frame = decode(receive_parts(socket_, std::move(first)), settings_.limits.max_payload_bytes);
    if (frame) {
      sink(Message{0, std::move(frame).value()});
    } else {
      sink(Fault{FaultKind::malformed, "server: " + frame.fault().reason, 0});
    }
    return true;
  }

  void note_events() override {
    while (const auto event = monitor_.next()) {
      if (event->kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
        connected_ = true;
      } else if (std::exchange(connected_, false)) {
        lost_ = true;
      }
    }
  }

  void report_losses(const Sink& sink) override {
    if (std::exchange(lost_, false)) {
      sink(Fault{FaultKind::disconnected, "connection to " + endpoint_ + " was lost", 0});
    }
  }

 private:
  ZmqClientSettings settings_;
  zmq::socket_t socket_;
  ZmqMonitor monitor_;
  std::string endpoint_;
  bool connected_ = false;
  bool lost_ = false;
};

}  // namespace

std::unique_ptr<Wire> make_router_wire(zmq::context_t& context, const ZmqServerSettings& settings) {
  return std::make_unique<RouterWire>(context, settings);
}

std::unique_ptr<Wire> make_dealer_wire(zmq::context_t& context, const ZmqClientSettings& settings) {
  return std::make_unique<DealerWire>(context, settings);
}

}  // namespace gossamer
