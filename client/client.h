#pragma once

#include <memory>

#include "client/trainers/trainer.h"
#include "comms/frame.h"
#include "compression/compressor.h"
#include "core/evaluator.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"

namespace gossamer {

// A client's half of the journey of one update. Serves any number of client ids one after another (the id is
// in the frame), with one model replica; one instance a thread.
class Client {
 public:
  // `data` is shared and outlives the client.
  Client(const Options& options, const FederatedData& data);

  // Trains the model of a `model` frame on that client's data and returns the `update` frame. `state` belongs
  // to that client where the algorithm keeps one. Malformed frames are a fault of the sender. Throws
  // WorkCalledOff where `called_off` says so in between.
  // `exchange` is for an algorithm that exchanges gradients; its exceptions pass.
  Result<Frame> take_part(const Frame& model_frame, ClientState* state, std::function<bool()> called_off = {},
                          GradientExchange* exchange = nullptr);

  // sync.pull = on_request: the local training that follows the answer to this model. Throws like
  // take_part().
  void go_on(const FrameHeader& model, ClientState* state, std::function<bool()> called_off = {});

  // The replica, for evaluation between rounds.
  Model& model() noexcept { return model_; }

 private:
  Client(const Options& options, const FederatedData& data, std::unique_ptr<Model> model);

  const FederatedData& data_;
  std::uint64_t seed_;
  Model& model_;  // owned by the trainer
  std::unique_ptr<LocalTrainer> trainer_;
  std::unique_ptr<Clipper> clipper_;
  std::unique_ptr<PrivacyMechanism> mechanism_;
  std::unique_ptr<Compressor> up_;
  std::unique_ptr<Compressor> down_;
  FloatBuffer global_;
};

}  // namespace gossamer
