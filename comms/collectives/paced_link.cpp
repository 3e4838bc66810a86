#include "comms/collectives/paced_link.h"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <utility>
#include <vector>

namespace gossamer {
namespace {

class PacedLink final : public Link {
 public:
  PacedLink(std::unique_ptr<Link> link, double bytes_per_s, Clock::duration latency)
      : link_(std::move(link)), seconds_per_byte_(1 / bytes_per_s), latency_(latency) {
    if (!(bytes_per_s > 0)) throw std::logic_error("make_paced_link: a wire without a rate");
    if (latency < latency.zero()) throw std::logic_error("make_paced_link: a latency below 0");
  }

  Rank self() const noexcept override { return link_->self(); }
  int world_size() const noexcept override { return link_->world_size(); }
  const LinkSettings& settings() const noexcept override { return link_->settings(); }

  bool send(Rank to, std::span<const std::byte> segment, bool stays) override {
    const double seconds = static_cast<double>(segment.size()) * seconds_per_byte_;
    free_at_ = std::max(free_at_, Clock::now()) +
               std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    OnTheWire entry{to, segment, stays, free_at_ + latency_, {}};
    if (!stays) {
      if (!spare_.empty()) {
        entry.copy = std::move(spare_.back());
        spare_.pop_back();
      }
      entry.copy.assign(segment.begin(), segment.end());
      entry.bytes = entry.copy;  // moving a vector leaves its elements where they are
    }
    wire_.push_back(std::move(entry));
    pass_on();
    return true;
  }
  std::span<const std::byte> front(Rank from) override {
    pass_on();
    return link_->front(from);
  }
  void pop(Rank from) override { link_->pop(from); }
  std::uint64_t settled() override {
    pass_on();
    return link_->settled();
  }
  bool owes() override {
    pass_on();
    return !wire_.empty() || link_->owes();
  }
  Result<std::monostate> pause(Rank awaited, int idle_turns, Clock::time_point deadline) override {
    pass_on();
    // What is on the wire is due soon.
    return link_->pause(awaited, idle_turns,
                        wire_.empty() ? deadline : std::min(deadline, wire_.front().due));
  }

 private:
  struct OnTheWire {
    Rank to;
    std::span<const std::byte> bytes;
    bool stays;
    Clock::time_point due;
    std::vector<std::byte> copy;  // where the segment does not stay
  };

  void pass_on() {
    while (!wire_.empty() && wire_.front().due <= Clock::now()) {
      OnTheWire& first = wire_.front();
      if (!link_->send(first.to, first.bytes, first.stays)) return;
      if (!first.stays) spare_.push_back(std::move(first.copy));
      wire_.pop_front();
    }
  }

  std::unique_ptr<Link> link_;
  double seconds_per_byte_;
  Clock::duration latency_;
  Clock::time_point free_at_{};
  std::deque<OnTheWire> wire_;
  std::vector<std::vector<std::byte>> spare_;
};

}  // namespace

std::unique_ptr<Link> make_paced_link(std::unique_ptr<Link> link, double bytes_per_s,
                                      std::chrono::nanoseconds latency) {
  return std::make_unique<PacedLink>(std::move(link), bytes_per_s, latency);
}

}  // namespace gossamer
