#include "comms/collectives/zmq_link.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>
#include <zmq.hpp>

#include "comms/bell.h"
#include "comms/collectives/segment_header.h"
#include "comms/zmq_socket.h"
#include "core/error.h"

namespace gossamer {
namespace {

// poll() cannot wait for longer; it is called again.
constexpr std::chrono::milliseconds kLongestPoll{1'000};
// What a peer sent before its connection was lost may still be on its way through libzmq.
constexpr std::chrono::milliseconds kLastWords{200};

int ms(std::chrono::milliseconds time) { return static_cast<int>(time.count()); }

// To send a segment from where it lies takes a call back from libzmq; to copy a small one is less work.
constexpr std::size_t kWorthNotCopying = std::size_t{16} << 10U;

// How many segments libzmq's I/O thread has let go; it rings for a caller that waits for that.
struct LetGo {
  std::atomic<std::uint64_t> count{0};
  std::atomic<bool>* awaited = nullptr;
  Bell* bell = nullptr;

  static void one(void*, void* self) {
    auto* const let_go = static_cast<LetGo*>(self);
    let_go->count.fetch_add(1);
    if (let_go->awaited->exchange(false)) let_go->bell->ring();
  }
};

}  // namespace

struct ZmqEndpoint::Socket {
  explicit Socket(const ZmqLinkSettings& given)
      : settings(given), in(context, zmq::socket_type::pull), monitor(context, in, ZMQ_EVENT_DISCONNECTED) {
    const ZmqAddress parsed = parse_zmq_address("listen", settings.listen);
    if (!parsed.loopback && !settings.insecure) {
      throw ConfigError("listen = " + settings.listen +
                        ": listening beyond loopback without keys needs security.insecure = true");
    }
    in.set(zmq::sockopt::rcvhwm, 0);  // credits bound what a peer may send
    in.set(zmq::sockopt::maxmsgsize,
           static_cast<std::int64_t>(std::max<std::size_t>(4096, settings.link.segment_bytes)));
    in.set(zmq::sockopt::ipv6, parsed.ipv6);
    configure(in);
    try {
      in.bind(parsed.text);
    } catch (const zmq::error_t& error) {
      throw TransportError("listen = " + settings.listen + ": " + error.what());
    }
    address = in.get(zmq::sockopt::last_endpoint);
  }

  void configure(zmq::socket_t& socket) const {
    socket.set(zmq::sockopt::linger, ms(settings.linger));
    socket.set(zmq::sockopt::heartbeat_ivl, ms(settings.heartbeat_interval));
    socket.set(zmq::sockopt::heartbeat_timeout, ms(settings.heartbeat_timeout));
  }

  ZmqLinkSettings settings;
  zmq::context_t context;
  zmq::socket_t in;
  ZmqMonitor monitor;
  std::string address;
};

namespace {

// One socket in, shared by all peers; one out to each. A sender has at most settings.segments unconsumed
// segments with a receiver, which says in what it sends itself how many it has consumed.
template <class Socket>
class ZmqLink final : public Link {
 public:
  ZmqLink(std::unique_ptr<Socket> socket, const Topology& topology, Rank self,
          std::span<const std::string> addresses)
      : socket_(std::move(socket)), self_(self), peers_(addresses.size()) {
    const int world_size = static_cast<int>(addresses.size());
    const auto out = largest_segments(topology, self, world_size, settings());
    for (Rank rank = 0; rank < world_size; ++rank) {
      const auto in = largest_segments(topology, rank, world_size, settings());
      const bool sends = out[static_cast<std::size_t>(rank)] > 0;
      const bool receives = in[static_cast<std::size_t>(self)] > 0;
      if (rank != self && (sends || receives)) connect(rank, addresses[static_cast<std::size_t>(rank)]);
    }
  }

  ~ZmqLink() override {
    for (Rank rank = 0; rank < world_size(); ++rank) {
      if (peer(rank)) say(rank, fault_ ? SegmentKind::failed : SegmentKind::bye);
    }
    // Sockets that close let go of what they hold, and the context waits for that: the memory behind the
    // segments, and the counters, are the caller's and ours until then.
    for (auto& entry : peers_) {
      if (entry) entry->out.close();
    }
    socket_.reset();
  }

  Rank self() const noexcept override { return self_; }
  int world_size() const noexcept override { return static_cast<int>(peers_.size()); }
  const LinkSettings& settings() const noexcept override { return socket_->settings.link; }

  // Everybody has said hello to everybody.
  Result<std::monostate> meet(Clock::time_point deadline) {
    for (Rank rank = 0; rank < world_size(); ++rank) {
      while (peer(rank) && !(peer(rank)->greeted || (peer(rank)->greeted = say(rank, SegmentKind::hello)))) {
        const auto going = pause(rank, 0, std::min(deadline, Clock::now() + std::chrono::milliseconds(1)));
        if (!going) return going;
        if (Clock::now() >= deadline) return unreachable(rank);
      }
    }
    for (Rank rank = 0; rank < world_size(); ++rank) {
      while (peer(rank) && !peer(rank)->greets) {
        const auto going = pause(rank, 0, deadline);
        if (!going) return going;
        if (!peer(rank)->greets && Clock::now() >= deadline) return unreachable(rank);
      }
    }
    return std::monostate{};
  }

  bool send(Rank to, std::span<const std::byte> segment, bool stays) override {
    Peer& peer = *peers_[static_cast<std::size_t>(to)];
    if (peer.sent - peer.consumed >= settings().segments) return false;
    zmq::message_t header = header_for(peer, SegmentKind::data, peer.sent);
    if (!peer.out.send(header, zmq::send_flags::sndmore | zmq::send_flags::dontwait)) return false;
    // Room was found with the first part. libzmq takes a mutable pointer and does not write through it.
    const bool copies = !stays || segment.size() < kWorthNotCopying;
    zmq::message_t payload = copies ? zmq::message_t(segment.data(), segment.size())
                                    : zmq::message_t(const_cast<std::byte*>(segment.data()), segment.size(),
                                                     LetGo::one, &peer.let_go);
    (void)peer.out.send(payload, zmq::send_flags::dontwait);
    ++peer.sent;
    if (stays) staying_.push_back(copies ? -1 : to);
    return true;
  }

  std::span<const std::byte> front(Rank from) override {
    Peer& peer = *peers_[static_cast<std::size_t>(from)];
    if (peer.arrived.empty()) read();
    if (peer.arrived.empty()) return {};
    return {peer.arrived.front().template data<std::byte>(), peer.arrived.front().size()};
  }

  void pop(Rank from) override {
    Peer& peer = *peers_[static_cast<std::size_t>(from)];
    peer.arrived.pop_front();
    ++peer.read;
    if (peer.read - peer.announced >= std::max<std::size_t>(1, settings().segments / 2)) {
      say(from, SegmentKind::credit);
    }
  }

  std::uint64_t settled() override {
    while (!staying_.empty()) {
      if (staying_.front() >= 0) {
        Peer& peer = *peers_[static_cast<std::size_t>(staying_.front())];
        if (peer.settled >= peer.let_go.count.load()) break;
        ++peer.settled;
      }
      ++settled_;
      staying_.pop_front();
    }
    return settled_;
  }

  Result<std::monostate> pause(Rank awaited, int, Clock::time_point deadline) override {
    read();
    note_losses();
    if (awaited >= 0 && !fault_ && peer(awaited)->left && peer(awaited)->arrived.empty()) {
      fault_ = Fault{FaultKind::disconnected, "rank " + std::to_string(awaited) + " has left", awaited};
    }
    if (fault_) return *fault_;
    const auto now = Clock::now();
    if (std::exchange(any_arrived_, false) || deadline <= now) return std::monostate{};
    const std::uint64_t settled_before = settled_;
    awaits_let_go_ = !staying_.empty();
    if (settled() > settled_before) return std::monostate{};
    auto time = lost_at_ ? kLastWords : kLongestPoll;
    if (deadline < now + time) time = std::chrono::ceil<std::chrono::milliseconds>(deadline - now);
    wait_for_event(time);
    return std::monostate{};
  }

 private:
  struct Peer {
    explicit Peer(zmq::context_t& context) : out(context, zmq::socket_type::push) {}
    zmq::socket_t out;
    std::deque<zmq::message_t> arrived;
    std::uint64_t sent = 0;       // segments, of which ...
    std::uint64_t consumed = 0;   // ... it says it is done with so many
    std::uint64_t received = 0;   // segments, of which ...
    std::uint64_t read = 0;       // ... we are done with so many, ...
    std::uint64_t announced = 0;  // ... and have said of so many
    std::uint64_t settled = 0;    // of let_go, counted so far
    LetGo let_go;
    bool greeted = false, greets = false, left = false, lost = false;
  };

  void wait_for_event(std::chrono::milliseconds time) {
    std::array<zmq::pollitem_t, 3> items{{{socket_->in.handle(), 0, ZMQ_POLLIN, 0},
                                          {socket_->monitor.socket().handle(), 0, ZMQ_POLLIN, 0},
                                          {nullptr, bell_.fd(), ZMQ_POLLIN, 0}}};
    try {
      zmq::poll(items, time);
      if (items[2].revents != 0) bell_.clear();
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
  }

  std::unique_ptr<Peer>& peer(Rank rank) { return peers_[static_cast<std::size_t>(rank)]; }

  void connect(Rank rank, const std::string& address) {
    auto entry = std::make_unique<Peer>(socket_->context);
    entry->let_go.awaited = &awaits_let_go_;
    entry->let_go.bell = &bell_;
    socket_->configure(entry->out);
    entry->out.set(zmq::sockopt::sndhwm, 0);
    entry->out.set(zmq::sockopt::immediate, true);  // nothing waits for a connection, or outlives one
    entry->out.set(zmq::sockopt::reconnect_ivl, 20);
    const ZmqAddress parsed = parse_zmq_address("rank " + std::to_string(rank), address);
    entry->out.set(zmq::sockopt::ipv6, parsed.ipv6);
    entry->out.connect(parsed.text);
    peers_[static_cast<std::size_t>(rank)] = std::move(entry);
  }

  zmq::message_t header_for(Peer& to, SegmentKind kind, std::uint64_t sequence) {
    to.announced = to.read;
    const auto bytes = encode_segment_header({kind, self_, socket_->settings.group, sequence, to.announced});
    return {bytes.data(), bytes.size()};
  }

  // False where there is no connection.
  bool say(Rank to, SegmentKind kind) {
    Peer& entry = *peer(to);
    const auto lost = static_cast<std::uint64_t>(fault_ && fault_->peer >= 0 ? fault_->peer : self_);
    zmq::message_t header = header_for(entry, kind, kind == SegmentKind::failed ? lost : 0);
    return entry.out.send(header, zmq::send_flags::dontwait).has_value();
  }

  Fault unreachable(Rank rank) {
    fault_ = Fault{FaultKind::timeout, "rank " + std::to_string(rank) + " cannot be reached", rank};
    return *fault_;
  }

  void refuse(Rank rank, const std::string& reason) {
    if (!fault_) fault_ = Fault{FaultKind::malformed, "rank " + std::to_string(rank) + ": " + reason, rank};
  }

  // Takes in all that is here. Who is none of us is not heard.
  void read() {
    zmq::message_t first;
    while (!fault_ && socket_->in.recv(first, zmq::recv_flags::dontwait)) {
      const int fd = zmq_msg_get(first.handle(), ZMQ_SRCFD);
      zmq::message_t payload;
      std::size_t parts = 1;
      for (bool more = first.more(); more; ++parts) {
        zmq::message_t part;
        receive_zmq_part(socket_->in, part);
        more = part.more();
        if (parts == 1) payload = std::move(part);
      }
      const auto header = decode_segment_header({first.data<std::byte>(), first.size()}, world_size());
      if (!header || header.value().group != socket_->settings.group || !peer(header.value().from)) continue;
      take(header.value(), std::move(payload), parts, fd);
    }
  }

  void take(const SegmentHeader& header, zmq::message_t payload, std::size_t parts, int fd) {
    const Rank rank = header.from;
    Peer& from = *peer(rank);
    ranks_[fd] = rank;
    any_arrived_ = true;
    if (header.consumed > from.sent || header.consumed < from.consumed) {
      return refuse(rank, "has consumed what it was not sent");
    }
    from.consumed = header.consumed;
    const std::size_t expected_parts = header.kind == SegmentKind::data ? 2 : 1;
    if (parts != expected_parts) return refuse(rank, "message of " + std::to_string(parts) + " parts");
    switch (header.kind) {
      case SegmentKind::hello:
        from.greets = true;
        break;
      case SegmentKind::credit:
        break;
      case SegmentKind::bye:
        from.left = true;
        break;
      case SegmentKind::failed:
        fault_ = Fault{FaultKind::disconnected,
                       "rank " + std::to_string(rank) + " has lost rank " + std::to_string(header.sequence),
                       static_cast<Rank>(std::min<std::uint64_t>(header.sequence, peers_.size() - 1))};
        break;
      case SegmentKind::data:
        if (header.sequence != from.received) return refuse(rank, "a segment is missing");
        if (from.received - from.announced >= settings().segments)
          return refuse(rank, "sends more than it may");
        if (payload.size() == 0) return refuse(rank, "empty segment");
        ++from.received;
        from.arrived.push_back(std::move(payload));
        break;
    }
  }

  // A connection that ends before its peer has taken its leave is a peer lost. The next reads still get what
  // it sent before.
  void note_losses() {
    while (const auto event = socket_->monitor.next()) {
      const auto known = ranks_.find(event->fd);
      if (known == ranks_.end()) continue;
      peer(known->second)->lost = true;
      ranks_.erase(known);
      lost_at_ = Clock::now();
    }
    if (!lost_at_ || fault_ || Clock::now() < *lost_at_ + kLastWords) return;
    lost_at_.reset();
    for (Rank rank = 0; rank < world_size(); ++rank) {
      if (peer(rank) && peer(rank)->lost && !peer(rank)->left) {
        fault_ = Fault{FaultKind::disconnected, "rank " + std::to_string(rank) + " was lost", rank};
        return;
      }
    }
  }

  std::unique_ptr<Socket> socket_;
  Rank self_;
  std::vector<std::unique_ptr<Peer>> peers_;  // null: none of our routes leads there
  std::deque<Rank> staying_;                  // whose segments stay and are not counted as settled, in order
  std::uint64_t settled_ = 0;
  std::unordered_map<int, Rank> ranks_;  // connection in -> who speaks over it
  std::optional<Clock::time_point> lost_at_;
  bool any_arrived_ = false;
  std::atomic<bool> awaits_let_go_{false};
  Bell bell_;
  std::optional<Fault> fault_;
};

}  // namespace

ZmqEndpoint::ZmqEndpoint(const ZmqLinkSettings& settings) : socket_(std::make_unique<Socket>(settings)) {}
ZmqEndpoint::~ZmqEndpoint() = default;
ZmqEndpoint::ZmqEndpoint(ZmqEndpoint&&) noexcept = default;

const std::string& ZmqEndpoint::address() const noexcept { return socket_->address; }

Result<std::unique_ptr<Link>> ZmqEndpoint::connect(const Topology& topology, Rank self,
                                                   std::span<const std::string> addresses,
                                                   Link::Clock::time_point deadline) {
  auto link = std::make_unique<ZmqLink<Socket>>(std::move(socket_), topology, self, addresses);
  const auto met = link->meet(deadline);
  if (!met) return met.fault();
  return std::unique_ptr<Link>(std::move(link));
}

}  // namespace gossamer
