#include "client/client.h"

#include "comms/codec.h"
#include "comms/topologies/topology.h"

namespace gossamer {
namespace {

// Of what peers have for one another, it is the exchange that is compressed, which comes after this journey.
std::vector<std::unique_ptr<Compressor>> on_this_journey(const CompressorRegistry& registry,
                                                         const Options& options, const ShardPlan& plan) {
  if (kind_of_topology(options.text("topology.name")) == TopologyKind::server)
    return one_a_shard(registry, options, plan);
  std::vector<std::unique_ptr<Compressor>> plain;
  plain.push_back(make_no_compressor(plan.floats()));
  return plain;
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
      trainer_keeps_state_(algorithms().make(options)->keeps_client_state()),
      up_(on_this_journey(up_compressors(), options, plan_)),
      down_(on_this_journey(down_compressors(), options, plan_)),
      global_(model_.layout()->size()) {
  for (const auto& compressor : up_) compressor_floats_ += compressor->state_floats();
}

Result<Parcel> Client::take_part(const Parcel& models, ClientState* state, std::function<bool()> called_off,
                                 GradientExchange* exchange) {
  const ClientId client = models.header().client;
  const Round round = models.header().round;

  if (models.frames() != plan_.shards())
    return Fault{FaultKind::malformed, "a model of too few or many ranges"};
  for (std::size_t s = 0; s < plan_.shards(); ++s) {
    auto received = decode_model(models[s]);
    if (!received) return received.fault();
    if (auto decompressed = down_[s]->decompress(received.value(), plan_.part(std::span<float>(global_), s));
        !decompressed)
      return decompressed.fault();
  }

  const auto method = method_for(models.header(), up_.front()->choices());
  if (!method) return Fault{FaultKind::malformed, "a model that asks for an update by an unknown method"};

  Update update = trainer_->train(
      global_, {client, round, data_.client(client), state == nullptr ? nullptr : &state->training,
                std::move(called_off), models.header().samples, exchange});
  update.info.client = client;
  update.info.round = round;
  update.info.sequence = static_cast<std::uint64_t>(round);

  ClippedUpdate clipped = clipper_->clip(std::move(update));
  PrivateUpdate noised = mechanism_->privatize(std::move(clipped));
  Rng rng(seed_, Purpose::compression, static_cast<std::uint64_t>(client), static_cast<std::uint64_t>(round));
  CompressedUpdate compressed = compress(up_, plan_, std::move(noised), residuals(state), rng, *method);
  return encode_update_parcel(models.header().run_id, compressed);
}

void Client::go_on(const FrameHeader& model, ClientState* state, std::function<bool()> called_off) {
  trainer_->go_on({model.client, model.round, data_.client(model.client),
                   state == nullptr ? nullptr : &state->training, std::move(called_off), model.samples});
}

// Zeros in the client's first round, or where the server has been divided otherwise since.
std::span<float> Client::residuals(ClientState* state) const {
  if (compressor_floats_ == 0) return {};
  if (state->compression.size() != compressor_floats_) state->compression.assign(compressor_floats_, 0.0F);
  return state->compression;
}

}  // namespace gossamer
