#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "client/datasets/dataset.h"
#include "client/models/models.h"
#include "client/trainers/training_state.h"
#include "core/error.h"
#include "core/registry.h"
#include "core/update.h"

namespace gossamer {

class GradientExchange;

// One client's share of one round.
struct TrainTask {
  ClientId client = 0;
  Round round = 0;
  std::shared_ptr<const ExampleSet> examples;
  TrainingState* state = nullptr;  // owned by the caller; null where the algorithm keeps none
  // Asked before each step; where it says yes the work ends with WorkCalledOff. Empty: never.
  std::function<bool()> called_off{};
  std::int64_t steps = 0;                // local steps, in place of what is configured; 0: as configured
  GradientExchange* exchange = nullptr;  // with the other peers, where the algorithm exchanges gradients
};

// Nobody waits for this work any more.
class WorkCalledOff final : public Error {
 public:
  WorkCalledOff() : Error("called off by the server", 3) {}
};

// One round of local work. Holds a model replica and scratch memory, so one instance serves any number of
// clients one after another on one thread. Deterministic: the update depends on the global model, the task
// and the configuration only, bit for bit.
class LocalTrainer {
 public:
  virtual ~LocalTrainer() = default;
  // `global` holds the model's layout().size() floats.
  virtual Update train(std::span<const float> global, const TrainTask& task) = 0;
  // With sync.pull = on_request train() only exchanges; this is the local training that follows. Both work on
  // the client's state.
  virtual void go_on(const TrainTask& task) { static_cast<void>(task); }
};

// An algorithm is a way to train locally, plus what it fixes on the rest of the configuration.
class Algorithm {
 public:
  virtual ~Algorithm() = default;
  // Sets the keys that the algorithm implies (fedsgd: one full-batch step). Throws ConfigError where the
  // user gave one of them another value.
  virtual void preset(Options& options) const { static_cast<void>(options); }
  virtual bool keeps_client_state() const { return false; }
  // Whether it can answer a model before it trains (sync.pull = on_request).
  virtual bool exchanges_on_request() const { return false; }
  // Whether its updates carry a TauReport (sync.local_steps = adaptive).
  virtual bool reports_on_tau() const { return false; }
  // Whether peers exchange gradients in every step (TrainTask::exchange), so that their updates are one and
  // the same.
  virtual bool exchanges_gradients() const { return false; }
  // Whether its trainers work where run.device says.
  virtual bool trains_on_device() const { return false; }
  virtual std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                                     std::unique_ptr<Model> model) const = 0;
};

// `algorithm.name`.
const Registry<Algorithm>& algorithms();

}  // namespace gossamer
