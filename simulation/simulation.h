#pragma once

#include <functional>
#include <future>
#include <map>
#include <optional>
#include <queue>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "client/client_states.h"
#include "core/evaluator.h"
#include "server/coordinator.h"
#include "server/run_keeper.h"
#include "simulation/device_model.h"
#include "simulation/pool_evaluator.h"
#include "simulation/trainer_pool.h"

namespace gossamer {

// The driver of `gossamer simulate`: virtual clients in one process, on a virtual clock. Training really
// runs, on the pool's threads; how long it would have taken comes from the device model. Events are handled
// in the order of virtual time (then of their making), so a run does not depend on the number of threads. A
// client exists only while it takes part, and clients train in the order in which their updates are due, no
// more than the threads need: memory is that of the threads' updates and of what the coordinator holds.
// (Where an update's length is known only after training, the round's updates wait for one another.)
class Simulation {
 public:
  // All references outlive the simulation.
  Simulation(const Options& options, const FederatedData& data, TrainerPool& pool);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // From now on takes every update's length from the update itself, as where a compressor cannot tell it
  // before: for tests of that case.
  void expect_any_length() noexcept { update_bytes_.reset(); }

  // Runs to the end. `stop_requested` is asked between events; when it says yes, the round under way is
  // abandoned. Returns what ended the run, as summary.json's stopped_by says it. Throws RunError where the
  // run could not finish.
  std::string run(Coordinator& coordinator, RunKeeper& keeper, const std::function<bool()>& stop_requested);

  // Test accuracy and loss, on all trainer threads.
  Evaluation evaluate(const Parameters& model) { return evaluator_.evaluate(model); }

  // What clients keep between rounds, for checkpoints.
  ClientStates& states() noexcept { return states_; }

 private:
  enum class EventKind { trained, arrived, gave_up, deadline };
  struct Event {
    Seconds time;
    std::uint64_t order;
    EventKind kind;
    Round round;
    ClientId client;
    bool operator>(const Event& other) const {
      return std::tie(time, order) > std::tie(other.time, other.order);
    }
  };

  using Work = std::pair<Round, ClientId>;  // a late client may be at work on two rounds

  void perform(const Actions& actions, Coordinator& coordinator, RunKeeper& keeper);
  void start(const SendModel& send, RunKeeper& keeper);
  Actions handle(const Event& event, Coordinator& coordinator, RunKeeper& keeper);
  void give(const SendModel& send, ClientId client, const Frame& model);
  void call_off(const Abandon& abandon);
  void schedule(Seconds time, EventKind kind, Round round, ClientId client);
  void train(const Work& work, const Frame& model);
  void train_ahead();
  Result<Frame> trained(const Event& event);

  const FederatedData& data_;
  TrainerPool& pool_;
  DeviceModel devices_;
  PoolEvaluator evaluator_;
  std::uint64_t run_id_;
  bool keeps_state_;
  std::optional<std::size_t> update_bytes_;  // of every update frame, where it is known before training

  Seconds now_ = 0;
  std::uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  using Due = std::pair<Seconds, std::uint64_t>;
  std::map<Due, std::pair<Work, Frame>> planned_;          // in their events' order
  std::map<Work, Due> under_way_;                          // what every client at work is due with next
  std::optional<std::map<ClientId, Seconds>> busy_until_;  // where late work goes on: when it ends
  std::map<Work, std::future<Result<Frame>>> training_;
  std::map<Work, Frame> on_the_way_;
  ClientStates states_;
  std::optional<Finish> finish_;
};

}  // namespace gossamer
