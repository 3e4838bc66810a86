#include "comms/collectives/mpi_link.h"

#include <mpi.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "comms/collectives/segment_queue.h"
#include "comms/mpi_communicator.h"
#include "core/buffers.h"

namespace gossamer {
namespace {

constexpr int kSegmentTag = 0;
// About 50 us: longer than a peer on its own core takes for a segment, shorter than a turn of the scheduler.
constexpr int kSpins = 1000;
// How often a waiting rank lets MPI see to everything else that is under way.
constexpr int kTurnsBetweenProbes = 64;

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Segments to one peer, and from it.
class Channel {
 public:
  virtual ~Channel() = default;
  virtual bool send(std::span<const std::byte> segment) = 0;
  virtual std::span<const std::byte> front() = 0;
  virtual void pop() = 0;
};

class SharedChannel final : public Channel {
 public:
  SharedChannel(std::optional<SegmentWriter> writer, std::optional<SegmentReader> reader)
      : writer_(writer), reader_(reader) {}
  bool send(std::span<const std::byte> segment) override { return writer_.value().push(segment); }
  std::span<const std::byte> front() override { return reader_.value().front(); }
  void pop() override { reader_->pop(); }

 private:
  std::optional<SegmentWriter> writer_;
  std::optional<SegmentReader> reader_;
};

// Buffers that MPI reads or writes, one segment each, used in turn.
struct Slots {
  Slots(std::size_t segment_bytes_, std::size_t segments)
      : segment_bytes(segment_bytes_),
        memory(segments * segment_bytes_),
        requests(segments, MPI_REQUEST_NULL) {}

  std::byte* data(std::uint64_t number) { return memory.data() + number % requests.size() * segment_bytes; }
  MPI_Request& request(std::uint64_t number) { return requests[number % requests.size()]; }

  std::size_t segment_bytes;
  ByteBuffer memory;
  std::vector<MPI_Request> requests;
};

class MessageChannel final : public Channel {
 public:
  MessageChannel(MpiSession& session, MPI_Comm communicator, Rank peer, std::size_t send_bytes,
                 std::size_t receive_bytes, std::size_t segments)
      : session_(session), communicator_(communicator), peer_(peer) {
    if (send_bytes > 0) out_ = std::make_shared<Slots>(send_bytes, segments);
    if (receive_bytes > 0) {
      in_ = std::make_shared<Slots>(receive_bytes, segments);
      for (std::uint64_t i = 0; i < segments; ++i) post(i);
    }
  }
  ~MessageChannel() override {
    if (in_) {
      for (MPI_Request& request : in_->requests) {
        if (request == MPI_REQUEST_NULL) continue;
        MPI_Cancel(&request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
      }
    }
    if (out_) {
      int done = 0;
      MPI_Testall(static_cast<int>(out_->requests.size()), out_->requests.data(), &done, MPI_STATUSES_IGNORE);
      if (done == 0) session_.keep(out_);  // a peer that gave up does not take what is still on its way
    }
  }

  bool send(std::span<const std::byte> segment) override {
    MPI_Request& request = out_->request(sent_);
    int free = 0;
    check_mpi(MPI_Test(&request, &free, MPI_STATUS_IGNORE), "MPI_Test");
    if (free == 0) return false;
    std::memcpy(out_->data(sent_), segment.data(), segment.size());
    check_mpi(MPI_Isend(out_->data(sent_), static_cast<int>(segment.size()), MPI_BYTE, peer_, kSegmentTag,
                        communicator_, &request),
              "MPI_Isend");
    ++sent_;
    return true;
  }

  std::span<const std::byte> front() override {
    if (arrived_bytes_ == 0) {
      int done = 0;
      MPI_Status status;
      check_mpi(MPI_Test(&in_->request(read_), &done, &status), "MPI_Test");
      if (done == 0) return {};
      check_mpi(MPI_Get_count(&status, MPI_BYTE, &arrived_bytes_), "MPI_Get_count");
    }
    return {in_->data(read_), static_cast<std::size_t>(arrived_bytes_)};
  }

  void pop() override {
    arrived_bytes_ = 0;
    post(read_);
    ++read_;
  }

 private:
  void post(std::uint64_t number) {
    check_mpi(MPI_Irecv(in_->data(number), static_cast<int>(in_->segment_bytes), MPI_BYTE, peer_, kSegmentTag,
                        communicator_, &in_->request(number)),
              "MPI_Irecv");
  }

  MpiSession& session_;
  MPI_Comm communicator_;
  Rank peer_;
  std::shared_ptr<Slots> out_, in_;
  std::uint64_t sent_ = 0, read_ = 0;
  int arrived_bytes_ = 0;  // of the front; 0: not known to have arrived
};

// Who sends how large segments to whom, for all pairs.
class SegmentTable {
 public:
  SegmentTable(const Topology& topology, int world_size, const LinkSettings& settings) {
    for (Rank from = 0; from < world_size; ++from) {
      bytes_.push_back(largest_segments(topology, from, world_size, settings));
    }
  }
  std::size_t bytes(Rank from, Rank to) const {
    return bytes_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  }

 private:
  std::vector<std::vector<std::size_t>> bytes_;
};

// Memory that all ranks of this node see: each rank's own part holds the queues that it writes.
class SharedWindow {
 public:
  SharedWindow(const SegmentTable& table, std::size_t segments, Rank self, int world_size)
      : table_(table), segments_(segments), node_ranks_(ranks_of_node(node_.get(), world_size)) {
    if (node_.size() == 1) return;
    MPI_Info info = MPI_INFO_NULL;
    check_mpi(MPI_Info_create(&info), "MPI_Info_create");
    MPI_Info_set(info, "alloc_shared_noncontig", "true");  // each rank's part begins at a page
    const std::size_t bytes = offset(self, world_size) + kAlignment;
    void* mine = nullptr;
    const int code =
        MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes), 1, info, node_.get(), &mine, &window_);
    MPI_Info_free(&info);
    if (code == MPI_SUCCESS) std::memset(mine, 0, bytes);
    // Also tells everybody that the memory is ready.
    int all_have_it = code == MPI_SUCCESS ? 1 : 0;
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, &all_have_it, 1, MPI_INT, MPI_MIN, node_.get()), "MPI_Allreduce");
    usable_ = all_have_it != 0;
    if (usable_) check_mpi(MPI_Win_lock_all(MPI_MODE_NOCHECK, window_), "MPI_Win_lock_all");
  }
  ~SharedWindow() {
    if (usable_) MPI_Win_unlock_all(window_);
    if (window_ != MPI_WIN_NULL) MPI_Win_free(&window_);
  }
  SharedWindow(const SharedWindow&) = delete;
  SharedWindow& operator=(const SharedWindow&) = delete;

  bool reaches(Rank peer) const {
    return usable_ && node_ranks_[static_cast<std::size_t>(peer)] != MPI_UNDEFINED;
  }
  int node_size() const { return node_.size(); }

  std::byte* queue(Rank from, Rank to) const {
    MPI_Aint size = 0;
    int unit = 0;
    void* base = nullptr;
    check_mpi(MPI_Win_shared_query(window_, node_ranks_[static_cast<std::size_t>(from)], &size, &unit, &base),
              "MPI_Win_shared_query");
    // Mappings begin at pages, so the first aligned byte is the same one in every process.
    const auto address = reinterpret_cast<std::uintptr_t>(base);
    const std::size_t padding = (kAlignment - address % kAlignment) % kAlignment;
    return static_cast<std::byte*>(base) + padding + offset(from, to);
  }

 private:
  static constexpr std::size_t kAlignment = 64;

  static std::vector<int> ranks_of_node(MPI_Comm node, int world_size) {
    MPI_Group world = MPI_GROUP_NULL, local = MPI_GROUP_NULL;
    check_mpi(MPI_Comm_group(MPI_COMM_WORLD, &world), "MPI_Comm_group");
    check_mpi(MPI_Comm_group(node, &local), "MPI_Comm_group");
    std::vector<int> all(static_cast<std::size_t>(world_size)), ranks(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int>(i);
    check_mpi(MPI_Group_translate_ranks(world, world_size, all.data(), local, ranks.data()),
              "MPI_Group_translate_ranks");
    MPI_Group_free(&world);
    MPI_Group_free(&local);
    return ranks;
  }

  // Where in the part of `from` the queue to `to` begins; with world_size for `to`, where the part ends.
  std::size_t offset(Rank from, Rank to) const {
    std::size_t at = 0;
    for (Rank peer = 0; peer < to; ++peer) {
      const std::size_t bytes = table_.bytes(from, peer);
      if (bytes > 0 && node_ranks_[static_cast<std::size_t>(peer)] != MPI_UNDEFINED) {
        at += SegmentQueue::memory_for(bytes, segments_);
      }
    }
    return at;
  }

  const SegmentTable& table_;
  std::size_t segments_;
  const Communicator node_ = Communicator::of_this_node();
  std::vector<int> node_ranks_;  // of each rank of the job; MPI_UNDEFINED on another node
  MPI_Win window_ = MPI_WIN_NULL;
  bool usable_ = false;
};

class MpiLink final : public Link {
 public:
  MpiLink(MpiSession& session, const Topology& topology, const LinkSettings& settings, MpiPath path)
      : self_(session.rank()),
        settings_(settings),
        table_(topology, session.world_size(), settings),
        window_(table_, settings.segments, self_, session.world_size()) {
    // A rank that spins where there is no core for everybody keeps the one that it waits for from running.
    spins_ = window_.node_size() <= sysconf(_SC_NPROCESSORS_ONLN) ? kSpins : 0;
    for (Rank peer = 0; peer < session.world_size(); ++peer) {
      const std::size_t out = table_.bytes(self_, peer), in = table_.bytes(peer, self_);
      if (out == 0 && in == 0) {
        channels_.push_back(nullptr);
      } else if (path == MpiPath::fastest && window_.reaches(peer)) {
        std::optional<SegmentWriter> writer;
        std::optional<SegmentReader> reader;
        if (out > 0) writer.emplace(window_.queue(self_, peer), out, settings.segments);
        if (in > 0) reader.emplace(window_.queue(peer, self_), in, settings.segments);
        channels_.push_back(std::make_unique<SharedChannel>(writer, reader));
      } else {
        channels_.push_back(
            std::make_unique<MessageChannel>(session, communicator_.get(), peer, out, in, settings.segments));
      }
    }
  }

  Rank self() const noexcept override { return self_; }
  int world_size() const noexcept override { return static_cast<int>(channels_.size()); }
  const LinkSettings& settings() const noexcept override { return settings_; }

  bool send(Rank to, std::span<const std::byte> segment, bool stays) override {
    if (!channels_[static_cast<std::size_t>(to)]->send(segment)) return false;
    if (stays) ++settled_;
    return true;
  }
  std::span<const std::byte> front(Rank from) override {
    return channels_[static_cast<std::size_t>(from)]->front();
  }
  void pop(Rank from) override { channels_[static_cast<std::size_t>(from)]->pop(); }
  std::uint64_t settled() override { return settled_; }

  Result<std::monostate> pause(Rank, int idle_turns, Clock::time_point) override {
    if (idle_turns < spins_) {
      relax();
    } else {
      sched_yield();
      if (idle_turns % kTurnsBetweenProbes == 0) {
        int found = 0;
        check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_.get(), &found, MPI_STATUS_IGNORE),
                  "MPI_Iprobe");
      }
    }
    return std::monostate{};
  }

 private:
  Rank self_;
  LinkSettings settings_;
  const Communicator communicator_;
  SegmentTable table_;
  SharedWindow window_;
  std::vector<std::unique_ptr<Channel>> channels_;
  int spins_ = 0;
  std::uint64_t settled_ = 0;
};

class MpiAllReduce final : public AllReduce {
 public:
  explicit MpiAllReduce(const MpiSession& session)
      : self_(session.rank()), world_size_(session.world_size()) {}
  ~MpiAllReduce() override {
    // MPI_Finalize would wait for them; nobody destroys it before that, unless the job is about to end.
    for (MPI_Request& request : requests_) MPI_Wait(&request, MPI_STATUS_IGNORE);
  }

  Rank self() const noexcept override { return self_; }
  int world_size() const noexcept override { return world_size_; }

  Result<std::monostate> all_reduce(std::span<float> values, Clock::time_point deadline) override {
    if (!sums_.empty()) return AllReduce::all_reduce(values, deadline);
    for_each_part(values, [this](float* data, int count) {
      check_mpi(MPI_Allreduce(MPI_IN_PLACE, data, count, MPI_FLOAT, MPI_SUM, communicator_.get()),
                "MPI_Allreduce");
    });
    return std::monostate{};
  }

  void start(std::span<float> values) override {
    for_each_part(values, [this](float* data, int count) {
      check_mpi(MPI_Iallreduce(MPI_IN_PLACE, data, count, MPI_FLOAT, MPI_SUM, communicator_.get(),
                               &requests_.emplace_back(MPI_REQUEST_NULL)),
                "MPI_Iallreduce");
    });
    sums_.push_back(requests_.size());
  }

  void start_gather(std::span<float> values, std::size_t share) override {
    if (values.size() > share * static_cast<std::size_t>(world_size_) || values.size() > kMostElements)
      throw std::logic_error("MpiAllReduce: shares that do not hold the vector, or are too many");
    // MPI reads these until the request is done.
    Shares& shares = shares_.emplace_back();
    for (Rank rank = 0; rank < world_size_; ++rank) {
      const ChunkRange range = chunk_range(values.size(), share, rank);
      shares.begins.push_back(static_cast<int>(range.begin));
      shares.counts.push_back(static_cast<int>(range.size));
    }
    check_mpi(MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, values.data(), shares.counts.data(),
                              shares.begins.data(), MPI_FLOAT, communicator_.get(),
                              &requests_.emplace_back(MPI_REQUEST_NULL)),
              "MPI_Iallgatherv");
    sums_.push_back(requests_.size());
  }

  Result<std::size_t> progress() override {
    while (tested_ < requests_.size()) {
      int done = 0;
      check_mpi(MPI_Test(&requests_[tested_], &done, MPI_STATUS_IGNORE), "MPI_Test");
      if (done == 0) break;
      ++tested_;
    }
    return static_cast<std::size_t>(
        std::ranges::count_if(sums_, [this](std::size_t end) { return end <= tested_; }));
  }

  Result<std::monostate> wait(std::size_t sums, Clock::time_point deadline) override {
    while (progress().value() < sums) {
      if (Clock::now() >= deadline) return Fault{FaultKind::timeout, "MPI_Iallreduce: not every rank came"};
    }
    return std::monostate{};
  }

  Result<std::monostate> finish(Clock::time_point deadline) override {
    auto finished = wait(sums_.size(), deadline);
    if (finished) {
      requests_.clear();
      sums_.clear();
      shares_.clear();
      tested_ = 0;
    }
    return finished;
  }

 private:
  static constexpr std::size_t kMostElements = std::size_t{1} << 28U;  // an MPI count is an int
  struct Shares {
    std::vector<int> begins, counts;
  };

  template <class Call>
  static void for_each_part(std::span<float> values, const Call& call) {
    for (std::size_t at = 0; at < values.size(); at += kMostElements) {
      call(values.data() + at, static_cast<int>(std::min(kMostElements, values.size() - at)));
    }
  }

  Rank self_;
  int world_size_;
  const Communicator communicator_;
  std::vector<MPI_Request> requests_;  // since the last finish(); the first tested_ are done
  std::vector<std::size_t> sums_;      // how many requests there were after each sum
  std::deque<Shares> shares_;
  std::size_t tested_ = 0;
};

}  // namespace

std::unique_ptr<Link> make_mpi_link(MpiSession& session, const Topology& topology,
                                    const LinkSettings& settings, MpiPath path) {
  return std::make_unique<MpiLink>(session, topology, settings, path);
}

std::unique_ptr<AllReduce> make_mpi_all_reduce(MpiSession& session) {
  return std::make_unique<MpiAllReduce>(session);
}

}  // namespace gossamer
