#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/client.h"
#include "client/compressed_mean.h"
#include "client/peer_model.h"
#include "client/public_copies.h"
#include "client/trainers/gradient_exchange.h"
#include "comms/collectives/all_reduce.h"
#include "comms/peer_codec.h"
#include "comms/peer_network.h"

namespace gossamer {

// What a process that holds peers is given.
struct PeerPlace {
  PeerNetwork* network = nullptr;
  std::vector<ClientId> clients;  // the peers that live here, ascending
  // Between the peers' processes, each with one: what sums updates, or, where they travel compressed, what
  // carries them; neither: they gossip.
  std::unique_ptr<AllReduce> all_reduce;
  std::unique_ptr<MessageExchange> messages;
  // Where the run is kept in this process too: takes the frames that are for the recorder.
  std::function<void(const Frame&)> record;
  std::function<bool()> stop_requested;    // asked between frames; empty: never
  std::chrono::duration<double> patience;  // without a word from the recorder
};

// Gives the place what sums updates over this link, or carries them where they travel compressed.
void sum_over(std::unique_ptr<Link> link, const Options& options, const Topology& topology, PeerPlace& place);

// Peers on a real network, and the loop that they live in: each trains from its own model, goes through the
// journey of an update with it, and exchanges with others what its topology says. The recorder (a
// PeerRecorder somewhere) says how far they may go and gets a report of each round, and models where it asks
// for them. One thread.
class PeerProcess {
 public:
  // `options` and `data` outlive it.
  PeerProcess(const Options& options, const FederatedData& data);

  // To the end of the run; returns its reason as the recorder says it, or "signal". Throws RunError where the
  // run failed, or where it cannot go on without a peer that was lost.
  std::string run(PeerPlace place);

  // The replica, for evaluation between rounds.
  Model& model() noexcept { return client_.model(); }

 private:
  using Clock = PeerNetwork::Clock;
  struct Peer {
    PeerModel model;
    Round completed = 0;
    Round granted = 0;
    std::set<Round> shown;              // rounds at whose end its state is asked for
    std::optional<ClientId> waits_for;  // pairwise: who has not answered yet
    bool here = false;
    std::uint64_t sent = 0, received = 0;  // since the last report
  };

  // Rounds that were granted are completed, so that nobody is left alone in an exchange.
  bool over() const { return end_.has_value() && (failed_ || stopped_ || !lockstep_); }
  bool drained(const Peer& peer) const { return end_.has_value() && peer.completed >= peer.granted; }

  // peer_sums.cpp
  void all_reduce_rounds();
  void begin_mean(const UpdateInfo& info, double weight);
  Result<bool> mean_is_complete();
  ExchangeBytes end_mean();
  void gradient_rounds();
  // A collective is broken. Throws, but where the recorder says why the run is over.
  void give_up(const Fault& fault);

  // peer_gossip.cpp
  void gossip_rounds();
  Compressed encoded_for_all(ClientId client, const SharedFloats& model, Round round);
  void mix(ClientId client, Round round, const SharedFloats& own);
  void send_to_neighbours(FrameType type, ClientId client, Round round, const Compressed& content);
  void gossip_freely();
  void exchange(ClientId client, Round round);
  void serve(FrameType type, PeerShare share);
  Result<std::monostate> take_copy(const PeerShare& share);
  Compressed encoded(SharedFloats values, ClientId from, ClientId to, Round round);
  void send(FrameType type, const PeerShare& share);

  // False where the run is over before `condition` holds.
  bool await(const std::function<bool()>& condition);
  bool pump(Clock::time_point deadline);
  void handle(const Frame& frame);
  void begin(const Frame& frame);
  void lose(const Fault& fault);
  // None where the run is over.
  std::optional<CompressedUpdate> train(ClientId client, Round round, GradientExchange* exchange = nullptr);
  void complete(ClientId client, const UpdateInfo& info);
  void show(ClientId client);
  // A peer that cannot go on says so to the others before it ends.
  template <class T>
  T accept(Result<T> result, ClientId client) {
    if (!result) leave(client, result.fault().reason);
    return std::move(result).value();
  }
  [[noreturn]] void leave(ClientId client, const std::string& reason);

  const Options& options_;
  std::uint64_t run_id_;
  std::uint64_t seed_;
  bool uniform_weights_;
  bool exchanges_gradients_;
  bool lockstep_;
  Round rounds_;
  Client client_;
  std::unique_ptr<Topology> topology_;
  std::unique_ptr<GossipPlan> plan_;
  std::unique_ptr<Compressor> plain_, down_;
  std::optional<PublicCopies> copies_;  // where gossip sends differences

  // Before the collective, which may read them until it is destroyed.
  FloatBuffer sums_;
  std::unique_ptr<CompressedMean> mean_;
  std::optional<GradientExchange> exchange_;
  PeerPlace place_;
  std::map<ClientId, Peer> peers_;
  std::set<ClientId> lost_;
  std::map<std::pair<ClientId, Round>, std::map<ClientId, Compressed>> arrived_;  // to whom, of which round
  std::deque<std::pair<FrameType, PeerShare>> early_;  // for peers that have no model yet
  std::optional<std::string> end_;
  bool failed_ = false;
  bool stopped_ = false;
  bool shown_last_ = false;  // not lockstep: the recorder has asked for the last models
  bool training_ = false;
  std::deque<Frame> set_aside_;  // for the recorder, while this process trains
  Clock::time_point last_heard_, last_look_;
};

}  // namespace gossamer
