#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>

namespace gossamer {

// Segments from one writer to one reader through memory that both see: threads, or processes that share it.
// Neither ever waits. The memory is 64-byte aligned, zero at first, and outlives both ends.
class SegmentQueue {
 public:
  // What a queue of `segments` of at most `segment_bytes` takes.
  static constexpr std::size_t memory_for(std::size_t segment_bytes, std::size_t segments) noexcept {
    return sizeof(Consumed) + segments * slot_bytes(segment_bytes);
  }

 protected:
  // Each on a cache line that one side writes and the other polls.
  struct alignas(64) Consumed {
    std::atomic<std::uint64_t> count;
  };
  struct alignas(64) Slot {
    std::atomic<std::uint64_t> sequence;  // n + 1 while it holds segment n
    std::uint64_t bytes;
    std::byte* data() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
  };
  static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

  SegmentQueue(std::byte* memory, std::size_t segment_bytes, std::size_t segments) noexcept
      : memory_(memory), slot_bytes_(slot_bytes(segment_bytes)), segments_(segments) {}

  static constexpr std::size_t slot_bytes(std::size_t segment_bytes) noexcept {
    return sizeof(Slot) + (segment_bytes + 63) / 64 * 64;
  }
  Consumed& consumed() const noexcept { return *std::launder(reinterpret_cast<Consumed*>(memory_)); }
  Slot& slot(std::uint64_t number) const noexcept {
    return *std::launder(
        reinterpret_cast<Slot*>(memory_ + sizeof(Consumed) + (number % segments_) * slot_bytes_));
  }

  std::byte* memory_;
  std::size_t slot_bytes_;
  std::size_t segments_;
};

class SegmentWriter : private SegmentQueue {
 public:
  SegmentWriter(std::byte* memory, std::size_t segment_bytes, std::size_t segments) noexcept
      : SegmentQueue(memory, segment_bytes, segments) {}

  // Copies the segment; false while the queue is full.
  bool push(std::span<const std::byte> segment) noexcept {
    if (written_ - consumed_ >= segments_) {
      consumed_ = consumed().count.load(std::memory_order_acquire);
      if (written_ - consumed_ >= segments_) return false;
    }
    Slot& to = slot(written_);
    std::memcpy(to.data(), segment.data(), segment.size());
    to.bytes = segment.size();
    to.sequence.store(++written_, std::memory_order_release);
    return true;
  }

 private:
  std::uint64_t written_ = 0;
  std::uint64_t consumed_ = 0;  // as last seen
};

class SegmentReader : private SegmentQueue {
 public:
  SegmentReader(std::byte* memory, std::size_t segment_bytes, std::size_t segments) noexcept
      : SegmentQueue(memory, segment_bytes, segments) {}

  // The oldest segment, where it lies; empty if there is none.
  std::span<const std::byte> front() noexcept {
    Slot& from = slot(read_);
    if (from.sequence.load(std::memory_order_acquire) != read_ + 1) return {};
    return {from.data(), from.bytes};
  }
  void pop() noexcept { consumed().count.store(++read_, std::memory_order_release); }

 private:
  std::uint64_t read_ = 0;
};

}  // namespace gossamer
