#include "comms/mpi_transport.h"

#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <exception>
#include <list>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "comms/mpi_communicator.h"
#include "core/error.h"

namespace gossamer {
namespace {

constexpr int kHeaderTag = 1;
constexpr int kPayloadTag = 2;
// Frames that a rank has begun and not finished to receive, all senders together: what bounds its memory.
constexpr std::size_t kMaxOpenReceives = 16;
constexpr std::size_t kMaxQueuedFrames = 1024;

// Waits a little longer each time: first not at all, then a turn of the scheduler, then up to a millisecond,
// or less while a transfer is under way that may need us to go on.
class BackOff {
 public:
  void pause(Transport::Clock::time_point deadline, bool under_way) {
    ++turns_;
    if (turns_ < kSpins) return;
    if (turns_ < kSpins + kYields) {
      sched_yield();
      return;
    }
    const auto left = deadline - Transport::Clock::now();
    const auto longest = under_way ? kLongestNapUnderWay : kLongestNap;
    std::this_thread::sleep_for(std::min<Transport::Clock::duration>(left, std::min(nap_, longest)));
    nap_ = std::min(nap_ * 2, kLongestNap);
  }

 private:
  static constexpr int kSpins = 200;
  static constexpr int kYields = 50;
  static constexpr std::chrono::microseconds kLongestNap{1000};
  static constexpr std::chrono::microseconds kLongestNapUnderWay{50};
  int turns_ = 0;
  std::chrono::microseconds nap_{10};
};

// A frame on its way out: MPI reads the header and the payload where they lie.
struct Outgoing {
  Rank to = 0;
  HeaderBytes header;
  SharedBytes payload;
  std::vector<MPI_Request> requests;
};

// A frame on its way in. `bytes` is what MPI writes into.
struct Incoming {
  FrameHeader header;
  std::shared_ptr<ByteBuffer> bytes;
  std::vector<MPI_Request> requests;
};

// What MPI may be reading or writing. A list, since an Outgoing's header must stay where it is.
struct Open {
  std::list<Outgoing> outgoing;
  std::unordered_map<Rank, std::deque<Incoming>> incoming;
  std::size_t receives = 0;

  bool empty() const noexcept { return outgoing.empty() && receives == 0; }
};

bool all_done(std::vector<MPI_Request>& requests) {
  int done = 0;
  check_mpi(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE),
            "MPI_Testall");
  return done != 0;
}

// Payload and header go as separate messages: the header on one tag, the payload's chunks on another. MPI
// keeps the order of messages of one sender on one tag, so receives that are posted in the order of the
// headers meet the chunks that belong to them.
class MpiTransport final : public Transport {
 public:
  MpiTransport(MpiSession& session, std::uint64_t max_payload_bytes, std::size_t chunk_bytes)
      : session_(session),
        self_(session.rank()),
        world_size_(session.world_size()),
        max_payload_bytes_(max_payload_bytes),
        chunk_bytes_(std::min(chunk_bytes, kMpiChunkBytes)) {}

  ~MpiTransport() override {
    if (!open_->empty()) session_.keep(open_);
  }

  Rank self() const noexcept override { return self_; }
  std::string endpoint() const override {
    return "MPI rank " + std::to_string(self_) + " of " + std::to_string(world_size_);
  }

  Result<Message> receive(Clock::time_point deadline) override {
    BackOff back_off;
    while (true) {
      if (inbox_.empty()) progress(kMaxOpenReceives);
      if (!inbox_.empty()) {
        Result<Message> next = std::move(inbox_.front());
        inbox_.pop_front();
        return next;
      }
      if (Clock::now() >= deadline) return Fault{FaultKind::timeout, "nothing arrived"};
      back_off.pause(deadline, !open_->empty());
    }
  }

  // Goes on receiving: two ranks that flush towards each other must both get through.
  Result<std::monostate> flush(Clock::time_point deadline) override {
    BackOff back_off;
    while (true) {
      progress(kMaxQueuedFrames);
      if (open_->outgoing.empty()) return std::monostate{};
      if (Clock::now() >= deadline) return Fault{FaultKind::timeout, "frames are still waiting to leave"};
      back_off.pause(deadline, true);
    }
  }

 private:
  Result<std::monostate> send_frame(Rank to, const Frame& frame) override {
    if (to == self_) {
      inbox_.push_back(Message{self_, frame});
      return std::monostate{};
    }
    if (to < 0 || to >= world_size_ || refused_.contains(to)) {
      return Fault{FaultKind::disconnected, "rank " + std::to_string(to) + " is not part of this", to};
    }
    progress_sends();
    if (queued_[to] >= kMaxQueuedFrames) {
      return Fault{FaultKind::timeout, "rank " + std::to_string(to) + ": its queue is full", to};
    }
    ++queued_[to];
    Outgoing& outgoing = open_->outgoing.emplace_back(
        Outgoing{to, encode_header(frame.header), frame.payload, std::vector<MPI_Request>(1)});
    check_mpi(MPI_Isend(outgoing.header.data(), static_cast<int>(outgoing.header.size()), MPI_BYTE, to,
                        kHeaderTag, communicator_.get(), &outgoing.requests.front()),
              "MPI_Isend");
    const auto bytes = outgoing.payload.bytes;
    for (std::size_t at = 0; at < bytes.size(); at += chunk_bytes_) {
      MPI_Request request = MPI_REQUEST_NULL;
      check_mpi(MPI_Isend(bytes.data() + at, static_cast<int>(std::min(chunk_bytes_, bytes.size() - at)),
                          MPI_BYTE, to, kPayloadTag, communicator_.get(), &request),
                "MPI_Isend");
      outgoing.requests.push_back(request);
    }
    return std::monostate{};
  }

  void progress(std::size_t max_open) {
    progress_sends();
    while (open_->receives < max_open && accept_header()) {
    }
    for (auto& [rank, queue] : open_->incoming) {
      // In the order of their headers, also where a small frame is complete before a large one ahead of it.
      while (!queue.empty() && all_done(queue.front().requests)) {
        deliver(rank, std::move(queue.front()));
        queue.pop_front();
        --open_->receives;
      }
    }
  }

  void progress_sends() {
    std::erase_if(open_->outgoing, [this](Outgoing& outgoing) {
      if (!all_done(outgoing.requests)) return false;
      --queued_[outgoing.to];
      return true;
    });
  }

  // Takes one header, if there is one, and posts the receives of its payload.
  bool accept_header() {
    int found = 0;
    MPI_Message message = MPI_MESSAGE_NULL;
    MPI_Status status;
    check_mpi(MPI_Improbe(MPI_ANY_SOURCE, kHeaderTag, communicator_.get(), &found, &message, &status),
              "MPI_Improbe");
    if (found == 0) return false;

    const Rank from = status.MPI_SOURCE;
    int size = 0;
    check_mpi(MPI_Get_count(&status, MPI_BYTE, &size), "MPI_Get_count");
    HeaderBytes bytes;
    const int received =
        MPI_Mrecv(bytes.data(), static_cast<int>(bytes.size()), MPI_BYTE, &message, MPI_STATUS_IGNORE);
    const bool too_long = size > static_cast<int>(bytes.size());
    if (!too_long) check_mpi(received, "MPI_Mrecv");  // else it is the error that says so
    if (refused_.contains(from)) return true;

    auto header =
        too_long ? Fault{FaultKind::malformed, "header of " + std::to_string(size) + " bytes"}
                 : decode_header(std::span(bytes).first(static_cast<std::size_t>(size)), max_payload_bytes_);
    if (!header) {
      refuse(from, header.fault());
      return true;
    }
    ++open_->receives;
    const auto payload_bytes = static_cast<std::size_t>(header.value().payload_bytes);
    Incoming& incoming = open_->incoming[from].emplace_back(
        Incoming{header.value(), std::make_shared<ByteBuffer>(payload_bytes), {}});
    for (std::size_t at = 0; at < payload_bytes; at += chunk_bytes_) {
      MPI_Request request = MPI_REQUEST_NULL;
      check_mpi(
          MPI_Irecv(incoming.bytes->data() + at, static_cast<int>(std::min(chunk_bytes_, payload_bytes - at)),
                    MPI_BYTE, from, kPayloadTag, communicator_.get(), &request),
          "MPI_Irecv");
      incoming.requests.push_back(request);
    }
    return true;
  }

  void deliver(Rank from, Incoming incoming) {
    const std::span<const std::byte> bytes{incoming.bytes->data(), incoming.bytes->size()};
    auto frame = decode_frame(incoming.header, {std::move(incoming.bytes), bytes});
    if (frame) {
      inbox_.push_back(Message{from, std::move(frame).value()});
    } else {
      inbox_.push_back(
          Fault{FaultKind::malformed, "rank " + std::to_string(from) + ": " + frame.fault().reason, from});
    }
  }

  void refuse(Rank from, const Fault& fault) {
    refused_.insert(from);
    inbox_.push_back(Fault{FaultKind::malformed, "rank " + std::to_string(from) + ": " + fault.reason, from});
  }

  MpiSession& session_;
  Communicator communicator_;
  const Rank self_;
  const int world_size_;
  const std::uint64_t max_payload_bytes_;
  const std::size_t chunk_bytes_;
  const std::shared_ptr<Open> open_ = std::make_shared<Open>();
  std::deque<Result<Message>> inbox_;
  std::unordered_map<Rank, std::size_t> queued_;
  std::unordered_set<Rank> refused_;
};

}  // namespace

MpiSession::MpiSession() : exceptions_at_start_(std::uncaught_exceptions()) {
  int provided = 0;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  if (provided < MPI_THREAD_FUNNELED) throw TransportError("MPI: no support for a program with threads");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &world_size_), "MPI_Comm_size");
}

MpiSession::~MpiSession() {
  if (std::uncaught_exceptions() > exceptions_at_start_) abort(3);
  MPI_Finalize();
}

void MpiSession::keep(std::shared_ptr<const void> memory) { kept_.push_back(std::move(memory)); }

void MpiSession::abort(int exit_code) noexcept {
  MPI_Abort(MPI_COMM_WORLD, exit_code);
  std::abort();  // not reached: MPI_Abort ends this process too
}

std::unique_ptr<Transport> make_mpi_transport(MpiSession& session, std::uint64_t max_payload_bytes,
                                              std::size_t chunk_bytes) {
  if (chunk_bytes == 0) throw std::logic_error("make_mpi_transport: chunks of 0 bytes");
  return std::make_unique<MpiTransport>(session, max_payload_bytes, chunk_bytes);
}

}  // namespace gossamer
