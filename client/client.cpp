#include "client/client.h"

#include "comms/codec.h"

namespace gossamer {
namespace {

std::vector<std::unique_ptr<Compressor>> one_a_shard(const Options& options, std::size_t shards) {
  std::vector<std::unique_ptr<Compressor>> compressors;
  for (std::size_t s = 0; s < shards; ++s) compressors.push_back(up_compressors().make(options));
  return compressors;
}

}  // namespace

Client::Client(const Options& options, const FederatedData& data)
    : Client(options, data, make_model(options, data.shape())) {}

Client::Client(const Options& options, const FederatedData& data, std::unique_ptr<Model> model)
    : data_(data),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      model_(*model),
      trainer_(algorithms().make(options)->make_trainer(options, std::move(model))),
      clipper_(clippers().make(options)),
      mechanism_(privacy_mechanisms().make(options)),
      plan_(*model_.layout(), options.integer("server.shards")),
      up_(one_a_shard(options, plan_.shards())),
      down_(down_compressors().make(options)),
      global_(model_.layout()->size()) {}

Result<Parcel> Client::take_part(const Parcel& models, ClientState* state, std::function<bool()> called_off,
                                 GradientExchange* exchange) {
  const ClientId client = models.header().client;
  const Round round = models.header().round;

  if (models.frames() != plan_.shards())
    return Fault{FaultKind::malformed, "a model of too few or many ranges"};
  for (std::size_t s = 0; s < plan_.shards(); ++s) {
    auto received = decode_model(models[s]);
    if (!received) return received.fault();
    if (auto decompressed = down_->decompress(received.value(), plan_.part(std::span<float>(global_), s));
        !decompressed)
      return decompressed.fault();
  }

  Update update = trainer_->train(global_, {client, round, data_.client(client), state, std::move(called_off),
                                            models.header().samples, exchange});
  update.info.client = client;
  update.info.round = round;
  update.info.sequence = static_cast<std::uint64_t>(round);

  ClippedUpdate clipped = clipper_->clip(std::move(update));
  PrivateUpdate noised = mechanism_->privatize(std::move(clipped));
  Rng rng(seed_, Purpose::compression, static_cast<std::uint64_t>(client), static_cast<std::uint64_t>(round));
  CompressedUpdate compressed = compress(up_, plan_, std::move(noised), rng);
  return encode_update_parcel(models.header().run_id, compressed);
}

void Client::go_on(const FrameHeader& model, ClientState* state, std::function<bool()> called_off) {
  trainer_->go_on(
      {model.client, model.round, data_.client(model.client), state, std::move(called_off), model.samples});
}

}  // namespace gossamer
