#include "comms/collectives/in_process_link.h"

#include <sched.h>

#include <algorithm>
#include <optional>

#include "comms/collectives/segment_queue.h"
#include "core/buffers.h"

namespace gossamer {
namespace {

class InProcessLink final : public Link {
 public:
  InProcessLink(Rank self, int world_size, const LinkSettings& settings)
      : self_(self),
        settings_(settings),
        writers_(static_cast<std::size_t>(world_size)),
        readers_(static_cast<std::size_t>(world_size)) {}

  // A queue from one link to another, in memory that both hold.
  static void connect(InProcessLink& from, InProcessLink& to, std::size_t segment_bytes) {
    const std::size_t segments = from.settings_.segments;
    auto memory = std::make_shared<ByteBuffer>(SegmentQueue::memory_for(segment_bytes, segments));
    std::ranges::fill(*memory, std::byte{0});
    from.writers_[static_cast<std::size_t>(to.self_)].emplace(memory->data(), segment_bytes, segments);
    to.readers_[static_cast<std::size_t>(from.self_)].emplace(memory->data(), segment_bytes, segments);
    from.memory_.push_back(memory);
    to.memory_.push_back(std::move(memory));
  }

  Rank self() const noexcept override { return self_; }
  int world_size() const noexcept override { return static_cast<int>(writers_.size()); }
  const LinkSettings& settings() const noexcept override { return settings_; }

  bool send(Rank to, std::span<const std::byte> segment, bool stays) override {
    if (!writers_.at(static_cast<std::size_t>(to)).value().push(segment)) return false;
    if (stays) ++settled_;
    return true;
  }
  std::span<const std::byte> front(Rank from) override {
    return readers_.at(static_cast<std::size_t>(from)).value().front();
  }
  void pop(Rank from) override { readers_[static_cast<std::size_t>(from)]->pop(); }
  std::uint64_t settled() override { return settled_; }

  Result<std::monostate> pause(Rank, int, Clock::time_point) override {
    sched_yield();
    return std::monostate{};
  }

 private:
  Rank self_;
  LinkSettings settings_;
  std::vector<std::optional<SegmentWriter>> writers_;
  std::vector<std::optional<SegmentReader>> readers_;
  std::vector<std::shared_ptr<const ByteBuffer>> memory_;
  std::uint64_t settled_ = 0;
};

}  // namespace

std::vector<std::unique_ptr<Link>> make_in_process_links(const Topology& topology, int world_size,
                                                         const LinkSettings& settings) {
  std::vector<std::unique_ptr<InProcessLink>> links;
  for (Rank rank = 0; rank < world_size; ++rank) {
    links.push_back(std::make_unique<InProcessLink>(rank, world_size, settings));
  }
  for (Rank rank = 0; rank < world_size; ++rank) {
    const auto largest = largest_segments(topology, rank, world_size, settings);
    for (Rank peer = 0; peer < world_size; ++peer) {
      const std::size_t bytes = largest[static_cast<std::size_t>(peer)];
      if (bytes == 0) continue;
      InProcessLink::connect(*links[static_cast<std::size_t>(rank)], *links[static_cast<std::size_t>(peer)],
                             bytes);
    }
  }
  return {std::make_move_iterator(links.begin()), std::make_move_iterator(links.end())};
}

}  // namespace gossamer
