#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/compressed_mean.h"
#include "client/peer_model.h"
#include "client/public_copies.h"
#include "client/trainers/gradient_exchange.h"
#include "server/peer_recorder.h"
#include "simulation/peer_wires.h"
#include "simulation/pool_evaluator.h"

namespace gossamer {

// How many trainer threads a simulation of peers needs where `wanted` are at hand: peers that exchange
// gradients all train at the same time. Throws ConfigError where they are too many.
int threads_for_peers(const Options& options, int wanted);

// The driver of `gossamer simulate` for peers: as many virtual ones as there are clients, each with a model,
// on a virtual clock. Training really runs, on the pool's threads, and all arithmetic is that of the real
// places; what training and every message would have taken comes from the device model. A run does not depend
// on the number of threads.
class PeerSimulation {
 public:
  // All references outlive it. Requires threads_for_peers() in the pool.
  PeerSimulation(const Options& options, const FederatedData& data, TrainerPool& pool);

  // Runs to the end; returns what ended the run. Throws RunError where it failed.
  std::string run(PeerCoordinator& coordinator, RunKeeper& keeper,
                  const std::function<bool()>& stop_requested);

  Evaluation evaluate(const Parameters& model) { return evaluator_.evaluate(model); }
  // The peers' own models, by client: for tests.
  const PeerModel& model_of(ClientId client) const { return peer(client).model; }
  // GoSGD: models on their way, with their weights: for tests.
  struct InFlight {
    SharedFloats model;
    double weight;
  };
  std::vector<InFlight> in_flight() const;
  // Called after every event without common rounds: for tests.
  void observe(std::function<void()> observer) { observer_ = std::move(observer); }

 private:
  struct Peer {
    PeerModel model;
    Round completed = 0;
    std::set<Round> shown;  // rounds at whose end its state is asked for
    bool is_lost = false;
    std::uint64_t sent = 0, received = 0;  // since the last report
    UpdateInfo info;                       // of the round under way, once trained
    std::future<Result<Parcel>> training;
  };
  enum class EventKind { trained, share, difference };
  struct Event {
    EventKind kind = EventKind::trained;
    ClientId peer = 0;  // where it happens
    ClientId from = 0;
    double weight = 0;
    Compressed content;
  };

  Peer& peer(ClientId client) { return peers_[static_cast<std::size_t>(client)]; }
  const Peer& peer(ClientId client) const { return peers_[static_cast<std::size_t>(client)]; }
  std::int64_t population() const noexcept { return static_cast<std::int64_t>(peers_.size()); }

  void hear(const Frame& frame);
  void begin_training(ClientId client);
  std::optional<CompressedUpdate> trained(ClientId client);
  void lose(ClientId client, const std::string& reason);
  void complete(ClientId client);
  void show(ClientId client);
  Compressed encoded(const SharedFloats& values, ClientId from, ClientId to, Round round) const;

  void round_in_lockstep(Round round);
  void sum_updates(const std::map<ClientId, CompressedUpdate>& updates, Round round);
  void average_compressed(std::vector<FloatBuffer>& vectors,
                          const std::map<ClientId, CompressedUpdate>& updates, Round round);
  void step_together(const std::map<ClientId, CompressedUpdate>& updates, Round round,
                     const std::vector<Seconds>& began);
  void tell_copies(Round round);
  void mix_models(const std::map<ClientId, CompressedUpdate>& updates, Round round,
                  const std::vector<Seconds>& began);

  void go_freely(const std::function<void()>& look_for_stop);
  void start(ClientId client);
  void handle(Event event);
  void post(EventKind kind, ClientId from, ClientId to, Compressed content, double weight);
  void go_on(ClientId client);

  const Options& options_;
  const FederatedData& data_;
  TrainerPool& pool_;
  DeviceModel devices_;
  PoolEvaluator evaluator_;
  std::uint64_t run_id_, seed_;
  bool lockstep_, uniform_weights_;
  std::unique_ptr<Topology> topology_;
  std::unique_ptr<GossipPlan> plan_;
  std::unique_ptr<Compressor> plain_, down_;
  std::optional<PublicCopies> copies_;  // where gossip sends differences
  PeerWires wires_;
  std::atomic<bool> broken_{false};  // a peer's training threw, for which the others would wait
  // By client; empty where peers exchange no gradients.
  std::vector<std::unique_ptr<GradientExchange>> exchanges_;
  std::vector<std::unique_ptr<AllReduce>> sums_;
  // By client; empty where sums travel as 32-bit floats.
  std::vector<std::unique_ptr<CompressedMean>> means_;
  std::vector<Peer> peers_;
  std::vector<Seconds> ready_;  // when each peer has completed its last round
  std::map<Round, Seconds> granted_;
  std::set<ClientId> to_show_;
  std::optional<PeerRecorder> recorder_;
  std::function<void()> observer_;

  Seconds now_ = 0;
  std::uint64_t order_ = 0;
  std::map<std::pair<Seconds, std::uint64_t>, Event> events_;  // by time, then by their making
};

}  // namespace gossamer
