#include "comms/collectives/all_reduce.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/buffers.h"

namespace gossamer {
namespace {

// Fewer elements are not worth a segment of their own.
constexpr std::size_t kSmallestSegment = 2048;
// A chunk is cut into so many segments at least, where they do not become too small.
constexpr std::size_t kSegmentsPerChunk = 4;
constexpr int kTurnsBeforeClock = 64;

// The order in which a rank goes through the segments of a vector. Segment number b of every chunk together
// is block b; each block goes through all stages of the routes, and later blocks follow at a distance: in
// wave w block b is in stage s where w = b + lag * s. Sends and receives keep to this order, each on their
// own, so a segment's place in the stream says what it is.
struct Place {
  std::size_t wave = 0;
  std::size_t stage = 0;

  // Within a wave the block that is furthest comes first.
  bool operator<(const Place& other) const noexcept {
    return wave != other.wave ? wave < other.wave : stage > other.stage;
  }
};

struct Shape {
  std::size_t stages = 0;
  std::size_t blocks = 0;
  std::size_t lag = 1;
};

// The sends, or the receives, of one vector in order. `Step` is Send or Receive.
template <class Step>
class Cursor {
 public:
  Cursor(const Routes& routes, const Shape& shape, std::vector<Step> Stage::*steps)
      : routes_(&routes), shape_(shape), steps_(steps) {
    if (shape_.blocks == 0 || shape_.stages == 0) {
      done_ = true;
    } else {
      enter_wave();
      skip_empty_stages();
    }
  }

  bool done() const noexcept { return done_; }
  const Step& step() const noexcept { return steps()[index_]; }
  std::size_t block() const noexcept { return place_.wave - shape_.lag * place_.stage; }
  Place place() const noexcept { return place_; }
  // Has everything of this block up to and with this stage been done?
  bool passed(std::size_t block, std::size_t stage) const noexcept {
    return done_ || Place{block + shape_.lag * stage, stage} < place_;
  }
  void next() noexcept {
    ++index_;
    skip_empty_stages();
  }

 private:
  const std::vector<Step>& steps() const noexcept { return routes_->stages[place_.stage].*steps_; }

  void enter_wave() noexcept {
    place_.stage = std::min(shape_.stages - 1, place_.wave / shape_.lag);
    index_ = 0;
  }
  void skip_empty_stages() noexcept {
    while (block() >= shape_.blocks || index_ >= steps().size()) {
      index_ = 0;
      const std::size_t next_block = block() + shape_.lag;
      if (place_.stage > 0 && next_block < shape_.blocks) {
        --place_.stage;
        continue;
      }
      ++place_.wave;
      if (place_.wave > shape_.blocks - 1 + shape_.lag * (shape_.stages - 1)) {
        done_ = true;
        return;
      }
      enter_wave();
    }
  }

  const Routes* routes_;
  Shape shape_;
  std::vector<Step> Stage::*steps_;
  Place place_;
  std::size_t index_ = 0;
  bool done_ = false;
};

// A sum, or a gather, under way; chunks have `chunk` elements.
class Sum {
 public:
  Sum(std::span<float> values, const Routes& routes, std::size_t chunk, const LinkSettings& settings)
      : values_(values),
        routes_(&routes),
        chunk_(chunk),
        segment_(segment_of(std::min(chunk, values.size()), settings)),
        shape_(shape_of(std::min(chunk, values.size()), segment_, routes, settings)),
        sends_(routes, shape_, &Stage::sends),
        receives_(routes, shape_, &Stage::receives) {
    skip_empty_sends();
    skip_empty_receives();
  }

  bool sent() const noexcept { return sends_.done(); }
  bool received() const noexcept { return receives_.done(); }
  bool sends_stay() const noexcept { return routes_->sends_stay; }

  // Sends one segment, if it may be sent and there is room.
  bool send_one(Link& link) {
    if (sends_.done()) return false;
    const std::size_t stage = sends_.place().stage;
    if (stage > 0 && !receives_.passed(sends_.block(), stage - 1)) return false;
    const Send& send = sends_.step();
    if (!link.send(send.to, std::as_bytes(segment(send.chunk, sends_.block())), routes_->sends_stay))
      return false;
    sends_.next();
    skip_empty_sends();
    return true;
  }

  // Combines one segment, if its turn has come and it has arrived.
  Result<bool> receive_one(Link& link, std::span<float> held) {
    if (receives_.done() || !sends_.passed(receives_.block(), receives_.place().stage)) return false;
    const Receive& receive = receives_.step();
    const std::span<const std::byte> in = link.front(receive.from);
    if (in.empty()) return false;
    const std::span<float> into = segment(receive.chunk, receives_.block());
    if (in.size() != into.size_bytes()) {
      return Fault{FaultKind::malformed,
                   "rank " + std::to_string(receive.from) + ": " + std::to_string(in.size()) +
                       " bytes where " + std::to_string(into.size_bytes()) +
                       " were expected; do all ranks sum as many elements?",
                   receive.from};
    }
    combine_into(into, held, in, receive.combine);
    link.pop(receive.from);
    receives_.next();
    skip_empty_receives();
    return true;
  }

  // Who keeps this sum from going on.
  Rank awaited() const noexcept {
    const bool behind = !receives_.done() && sends_.passed(receives_.block(), receives_.place().stage);
    if (behind) return receives_.step().from;
    return sends_.done() ? -1 : sends_.step().to;
  }

 private:
  static std::size_t segment_of(std::size_t longest, const LinkSettings& settings) noexcept {
    const std::size_t part = (longest / kSegmentsPerChunk + 15) / 16 * 16;
    return std::min(std::max(part, kSmallestSegment), settings.segment_bytes / sizeof(float));
  }
  static Shape shape_of(std::size_t longest, std::size_t segment, const Routes& routes,
                        const LinkSettings& settings) noexcept {
    return {routes.stages.size(), (longest + segment - 1) / segment,
            std::max<std::size_t>(1, settings.segments / 4)};
  }

  std::span<float> segment(int chunk, std::size_t block) const noexcept {
    const ChunkRange range = chunk_range(values_.size(), chunk_, chunk);
    const std::size_t from = std::min(range.size, block * segment_);
    return values_.subspan(range.begin + from, std::min(segment_, range.size - from));
  }
  // Of what is empty nothing travels; both ends know that.
  void skip_empty_sends() noexcept {
    while (!sends_.done() && segment(sends_.step().chunk, sends_.block()).empty()) sends_.next();
  }
  void skip_empty_receives() noexcept {
    while (!receives_.done() && segment(receives_.step().chunk, receives_.block()).empty()) receives_.next();
  }

  std::span<float> values_;
  const Routes* routes_;
  std::size_t chunk_;
  std::size_t segment_;
  Shape shape_;
  Cursor<Send> sends_;
  Cursor<Receive> receives_;
};

class RoutedAllReduce final : public AllReduce {
 public:
  RoutedAllReduce(const Topology& topology, std::unique_ptr<Link> link)
      : link_(std::move(link)),
        routes_(topology.all_reduce_routes(link_->self(), link_->world_size())),
        gather_routes_(topology.gather_routes(link_->self(), link_->world_size())),
        held_(link_->settings().segment_bytes / sizeof(float)) {
    if (routes_.empty()) throw std::logic_error("make_all_reduce: this topology is no all-reduce");
    sums_.reserve(64);
  }

  Rank self() const noexcept override { return link_->self(); }
  int world_size() const noexcept override { return link_->world_size(); }

  void start(std::span<float> values) override {
    const Routes& routes = routes_for(routes_, values.size());
    begin(values, routes, chunk_size(values.size(), routes.chunks));
  }
  void start_gather(std::span<float> values, std::size_t share) override {
    const auto ranks = static_cast<std::size_t>(world_size());
    if (values.size() > share * ranks)
      throw std::logic_error("AllReduce: shares that do not hold the vector");
    begin(values, gather_routes_, share);
  }

  Result<std::size_t> progress() override {
    if (!fault_ && !advance() && complete_ < sums_.size()) {
      const auto going = link_->pause(awaited(), 0, Clock::time_point::min());
      if (!going) fault_ = going.fault();
    }
    if (fault_) return *fault_;
    return complete_;
  }

  Result<std::monostate> wait(std::size_t sums, Clock::time_point deadline) override {
    if (sums > sums_.size()) throw std::logic_error("AllReduce::wait: sums that were not started");
    int idle_turns = 0;
    while (!fault_ && complete_ < sums) {
      if (advance()) {
        idle_turns = 0;
        continue;
      }
      if (fault_) break;
      const Rank peer = awaited();
      // The first turns are short, and a look at the clock is not.
      if (idle_turns >= kTurnsBeforeClock && Clock::now() >= deadline) {
        fault_ =
            Fault{FaultKind::timeout, "all-reduce: rank " + std::to_string(peer) + " did not answer", peer};
        break;
      }
      const auto going = link_->pause(peer, idle_turns++, deadline);
      if (!going) fault_ = going.fault();
    }
    if (fault_) return *fault_;
    return std::monostate{};
  }

  Result<std::monostate> finish(Clock::time_point deadline) override {
    auto finished = wait(sums_.size(), deadline);
    sums_.clear();
    sent_ = received_ = complete_ = 0;
    return finished;
  }

 private:
  void begin(std::span<float> values, const Routes& routes, std::size_t chunk) {
    sums_.push_back({Sum(values, routes, chunk, link_->settings())});
    if (!fault_) advance();
  }

  // Does what can be done at once; false where that was nothing.
  bool advance() {
    bool any = false;
    for (bool moved = true; moved; any = any || moved) {
      moved = send_next();
      const auto received = receive_next();
      if (!received) {
        fault_ = received.fault();
        return any;
      }
      moved = moved || received.value();
    }
    return settle() || any;
  }

  bool send_next() {
    while (sent_ < sums_.size() && sums_[sent_].sum.sent()) sums_[sent_++].staying_sends = staying_sends_;
    if (sent_ == sums_.size() || !sums_[sent_].sum.send_one(*link_)) return false;
    if (sums_[sent_].sum.sends_stay()) ++staying_sends_;
    return true;
  }

  Result<bool> receive_next() {
    while (received_ < sums_.size() && sums_[received_].sum.received()) ++received_;
    if (received_ == sums_.size()) return false;
    return sums_[received_].sum.receive_one(*link_, held_);
  }

  // A sum whose values the link may still read is not complete, nor is the last one, after which nobody may
  // call for a while, as long as others wait for what only a call sends.
  bool settle() {
    const std::size_t before = complete_;
    while (complete_ < std::min(sent_, received_) && link_->settled() >= sums_[complete_].staying_sends &&
           (complete_ + 1 < sums_.size() || !link_->owes()))
      ++complete_;
    return complete_ > before;
  }

  Rank awaited() const noexcept { return received_ < sums_.size() ? sums_[received_].sum.awaited() : -1; }

  struct UnderWay {
    Sum sum;
    std::uint64_t staying_sends = 0;  // how many the link had been given when this sum's last one was
  };

  std::unique_ptr<Link> link_;
  std::vector<Routes> routes_;
  Routes gather_routes_;
  FloatBuffer held_;
  std::vector<UnderWay> sums_;  // since the last finish(); the first ...
  std::size_t sent_ = 0;        // ... whose sends are all under way
  std::size_t received_ = 0;    // ... whose receives are all done
  std::size_t complete_ = 0;    // ... whose values are the caller's again
  std::uint64_t staying_sends_ = 0;
  std::optional<Fault> fault_;
};

}  // namespace

Result<std::monostate> AllReduce::all_reduce(std::span<float> values, Clock::time_point deadline) {
  start(values);
  return finish(deadline);
}

std::unique_ptr<AllReduce> make_all_reduce(const Topology& topology, std::unique_ptr<Link> link) {
  return std::make_unique<RoutedAllReduce>(topology, std::move(link));
}

std::vector<std::size_t> largest_segments(const Topology& topology, Rank from, int world_size,
                                          const LinkSettings& settings) {
  std::vector<Routes> all = topology.all_reduce_routes(from, world_size);
  if (all.empty()) throw std::logic_error("largest_segments: this topology is no all-reduce");
  all.push_back(topology.gather_routes(from, world_size));
  std::vector<std::size_t> bytes(static_cast<std::size_t>(world_size));
  for (const Routes& routes : all) {
    const std::size_t limit = settings.segment_bytes / sizeof(float);
    const std::size_t elements = std::min(routes.max_count, limit);
    for (const Stage& stage : routes.stages) {
      for (const Send& send : stage.sends) {
        std::size_t& largest = bytes[static_cast<std::size_t>(send.to)];
        largest = std::max(largest, elements * sizeof(float));
      }
    }
  }
  return bytes;
}

}  // namespace gossamer
