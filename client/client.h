#pragma once

#include <memory>

#include "client/client_states.h"
#include "client/received_models.h"
#include "client/trainers/trainer.h"
#include "comms/parcel.h"
#include "compression/compressor.h"
#include "compression/device_encoder.h"
#include "core/evaluator.h"
#include "core/shard_plan.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"

namespace gossamer {

// A client's half of the journey of one update. Serves any number of client ids one after another (the id is
// in the frame), with one model replica; one instance a thread.
class Client {
 public:
  // `data` is shared and outlives the client. `received`: what the clients of this process hold of a stream
  // of models; null: this one alone.
  Client(const Options& options, const FederatedData& data,
         std::shared_ptr<ReceivedModels> received = nullptr);

  // Trains the model of `model` frames, one a shard of the server, on that client's data and returns as many
  // `update` frames. `state` belongs to that client where keeps_state(). Malformed frames are a fault of the
  // sender. Throws WorkCalledOff where `called_off` says so in between.
  // `exchange` is for an algorithm that exchanges gradients; its exceptions pass.
  Result<Parcel> take_part(const Parcel& models, ClientState* state, std::function<bool()> called_off = {},
                           GradientExchange* exchange = nullptr);

  // sync.pull = on_request: the local training that follows the answer to this model. Throws like
  // take_part().
  void go_on(const FrameHeader& model, ClientState* state, std::function<bool()> called_off = {});

  // Whether take_part() needs a state.
  bool keeps_state() const noexcept { return trainer_keeps_state_ || compressor_floats_ > 0; }

  // Whoever sends this client models has gone back to this round: those of later ones are forgotten.
  void rewind(ClientId client, Round round);

  // What it holds of a stream of differences, for other clients of the process; null where there is none.
  const std::shared_ptr<ReceivedModels>& received() const noexcept { return received_; }

  // The replica, for evaluation between rounds.
  Model& model() noexcept { return model_; }
  // Which shard of the server a float belongs to.
  const ShardPlan& shards() const noexcept { return plan_; }

 private:
  Client(const Options& options, const FederatedData& data, std::unique_ptr<Model> model,
         std::shared_ptr<ReceivedModels> received);
  // The model of these frames, valid until the next call.
  Result<SharedFloats> receive(const Parcel& models);
  std::span<float> residuals(ClientState* state) const;

  const FederatedData& data_;
  std::uint64_t seed_;
  Model& model_;  // owned by the trainer
  std::unique_ptr<LocalTrainer> trainer_;
  std::unique_ptr<Clipper> clipper_;
  std::unique_ptr<PrivacyMechanism> mechanism_;
  ShardPlan plan_;
  bool trainer_keeps_state_;
  std::size_t compressor_floats_ = 0;            // that all of up_ keep
  std::vector<std::unique_ptr<Compressor>> up_;  // one a shard
  std::vector<std::unique_ptr<Compressor>> down_;
  std::unique_ptr<DeviceEncoder> encoder_;    // of up_, where updates are compressed on another device
  std::shared_ptr<ReceivedModels> received_;  // where differences are sent, in place of down_ and global_
  FloatBuffer global_;
};

}  // namespace gossamer
