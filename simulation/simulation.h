#pragma once

#include <functional>
#include <memory>
#include <string>

#include "client/client_states.h"
#include "core/evaluator.h"
#include "server/coordinator.h"
#include "server/run_keeper.h"
#include "simulation/event_loop.h"
#include "simulation/pool_evaluator.h"
#include "simulation/trainer_pool.h"

namespace gossamer {

class PooledClients;

// The driver of `gossamer simulate`: virtual clients in one process, on a virtual clock (EventLoop). Training
// really runs, on the pool's threads; how long it would have taken comes from the device model. A client
// exists only while it takes part.
class Simulation {
 public:
  // All references outlive the simulation. `states` is where it keeps what clients keep.
  Simulation(const Options& options, const FederatedData& data, TrainerPool& pool, ClientStates states = {});
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // From now on takes every update's length from the update itself, as where a compressor cannot tell it
  // before: for tests of that case. Before run().
  void expect_any_length();

  // As EventLoop::run() says.
  std::string run(Coordination& coordinator, RunKeeper& keeper, const std::function<bool()>& stop_requested);

  // Test accuracy and loss, on all trainer threads.
  Evaluation evaluate(const Parameters& model) { return evaluator_.evaluate(model); }

  // What clients keep between rounds, for checkpoints.
  ClientStates& states() noexcept;

 private:
  const Options& options_;
  std::unique_ptr<PooledClients> clients_;
  PoolEvaluator evaluator_;
  std::unique_ptr<EventLoop> loop_;
};

}  // namespace gossamer
