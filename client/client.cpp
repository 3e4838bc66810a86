#include "client/client.h"

#include "comms/codec.h"

namespace gossamer {

Client::Client(const Options& options, const FederatedData& data)
    : Client(options, data, make_model(options, data.shape())) {}

Client::Client(const Options& options, const FederatedData& data, std::unique_ptr<Model> model)
    : data_(data),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      model_(*model),
      trainer_(algorithms().make(options)->make_trainer(options, std::move(model))),
      clipper_(clippers().make(options)),
      mechanism_(privacy_mechanisms().make(options)),
      up_(up_compressors().make(options)),
      down_(down_compressors().make(options)),
      global_(model_.layout()->size()) {}

Result<Frame> Client::take_part(const Frame& model_frame, ClientState* state,
                                std::function<bool()> called_off, GradientExchange* exchange) {
  const ClientId client = model_frame.header.client;
  const Round round = model_frame.header.round;

  auto received = decode_model(model_frame);
  if (!received) return received.fault();
  if (auto decompressed = down_->decompress(received.value(), global_); !decompressed)
    return decompressed.fault();

  Update update = trainer_->train(global_, {client, round, data_.client(client), state, std::move(called_off),
                                            model_frame.header.samples, exchange});
  update.info.client = client;
  update.info.round = round;
  update.info.sequence = static_cast<std::uint64_t>(round);

  ClippedUpdate clipped = clipper_->clip(std::move(update));
  PrivateUpdate noised = mechanism_->privatize(std::move(clipped));
  Rng rng(seed_, Purpose::compression, static_cast<std::uint64_t>(client), static_cast<std::uint64_t>(round));
  CompressedUpdate compressed = compress(*up_, std::move(noised), rng);
  return encode_update(model_frame.header.run_id, compressed);
}

void Client::go_on(const FrameHeader& model, ClientState* state, std::function<bool()> called_off) {
  trainer_->go_on(
      {model.client, model.round, data_.client(model.client), state, std::move(called_off), model.samples});
}

}  // namespace gossamer
