// A peer's process by itself, with a network that says what the test wants it to.
#include "client/peer_process.h"

#include "comms/codec.h"
#include "tests/simulation/simulated_peers.h"

namespace gossamer {
namespace {

// Gives its frames in their order; what it is told and sent is kept. Ends the run after the first report.
class ScriptedNetwork final : public PeerNetwork {
 public:
  ScriptedNetwork(std::uint64_t run_id, std::deque<Frame> frames)
      : run_id_(run_id), frames_(std::move(frames)) {}

  void send(ClientId to, const Frame& frame) override { sent.emplace_back(to, frame); }
  void tell(const Frame& frame) override {
    if (frame.header.type == FrameType::report)
      frames_.push_back(encode_text(FrameType::finish, run_id_, frame.header.client, "rounds"));
  }
  Result<Frame> receive(Clock::time_point) override {
    if (frames_.empty()) return Fault{FaultKind::timeout, "nothing more is said"};
    Frame next = std::move(frames_.front());
    frames_.pop_front();
    return next;
  }
  bool flush(Clock::time_point) override { return !busy; }

  bool busy = false;  // what was sent has not left
  std::vector<std::pair<ClientId, Frame>> sent;

 private:
  std::uint64_t run_id_;
  std::deque<Frame> frames_;
};

struct Started {
  std::string stopped_by;
  std::vector<std::pair<ClientId, Frame>> sent;
};

// Client 0 of two, whose neighbour's model of round 1 is there before its own first one.
Started start_after_its_neighbour(const Keys& given, bool busy = false) {
  const TemporaryFolder folder;
  Options options = configured(Keys{{"data.clients", "2"}, {"topology.name", "gossip"}} + given, folder);
  const auto data = make_dataset(options);
  resolve(options, RunsIn::zmq);
  const std::uint64_t run_id = options.digest();
  PeerProcess process(options, *data);
  const auto size = process.model().layout()->size();
  const auto values = std::make_shared<const FloatBuffer>(size, 0.25F);
  const Compressed content{size, {values, std::as_bytes(std::span(*values))}};

  ScriptedNetwork network(
      run_id, {encode_share(run_id, FrameType::share, {1, 0, 1, 0, content}),
               encode_model(run_id, 0, 0, 0, content), encode_signal(FrameType::grant, run_id, 0, 1)});
  network.busy = busy;
  PeerPlace place;
  place.network = &network;
  place.clients = {0};
  place.patience = std::chrono::milliseconds(200);  // of silence: then the peer's process throws
  Started started;
  started.stopped_by = process.run(std::move(place));
  started.sent = std::move(network.sent);
  return started;
}

TEST(PeerProcess, TakesInWhatANeighbourSentBeforeItsOwnFirstModel) {
  for (const char* overlap : {"false", "true"}) {
    const Started started = start_after_its_neighbour({{"topology.gossip.overlap", overlap}});
    EXPECT_EQ(started.stopped_by, "rounds");
    ASSERT_EQ(started.sent.size(), 1U);
    EXPECT_EQ(started.sent[0].first, 1);
  }
}

TEST(PeerProcess, AnswersWhatANeighbourAskedBeforeItsOwnFirstModel) {
  // The neighbour asks once and waits for the answer.
  const Started started = start_after_its_neighbour({{"sync.mode", "async"},
                                                     {"topology.gossip.method", "pairwise"},
                                                     {"topology.gossip.probability", "0.000001"}});
  EXPECT_EQ(started.stopped_by, "rounds");
  ASSERT_EQ(started.sent.size(), 1U);
  EXPECT_EQ(started.sent[0].second.header.type, FrameType::difference);
}

TEST(PeerProcess, GoSgdSendsNoModelWhileTheLastOneIsLeaving) {
  const Keys keys{{"sync.mode", "async"}, {"topology.gossip.method", "go_sgd"}};
  const Started free = start_after_its_neighbour(keys);
  ASSERT_EQ(free.sent.size(), 1U);
  EXPECT_EQ(free.sent[0].second.header.type, FrameType::share);
  EXPECT_EQ(free.sent[0].second.header.weight, 0.25) << "half of what a peer begins with";
  EXPECT_TRUE(start_after_its_neighbour(keys, true).sent.empty());
}

}  // namespace
}  // namespace gossamer
