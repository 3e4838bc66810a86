#include "client/client.h"

#include "client/device.h"
#include "comms/codec.h"
#include "comms/topologies/topology.h"

namespace gossamer {
namespace {

bool has_server(const Options& options) {
  return kind_of_topology(options.text("topology.name")) == TopologyKind::server;
}

// Of what peers have for one another, it is the exchange that is compressed, which comes after this journey.
std::vector<std::unique_ptr<Compressor>> on_this_journey(const CompressorRegistry& registry,
                                                         const Options& options, const ShardPlan& plan) {
  if (has_server(options)) return one_a_shard(registry, options, plan);
  std::vector<std::unique_ptr<Compressor>> plain;
  plain.push_back(make_no_compressor(plan.floats()));
  return plain;
}

}  // namespace

Client::Client(const Options& options, const FederatedData& data, std::shared_ptr<ReceivedModels> received)
    : Client(options, data, make_model(options, data.shape()), std::move(received)) {}

Client::Client(const Options& options, const FederatedData& data, std::unique_ptr<Model> model,
               std::shared_ptr<ReceivedModels> received)
    : data_(data),
      seed_(static_cast<std::uint64_t>(options.integer("run.seed"))),
      model_(*model),
      trainer_(algorithms().make(options)->make_trainer(options, std::move(model))),
      clipper_(make_clipper(options, *model_.layout())),
      mechanism_(make_mechanism(options, *model_.layout())),
      plan_(*model_.layout(), options.integer("server.shards")),
      trainer_keeps_state_(algorithms().make(options)->keeps_client_state()),
      up_(on_this_journey(up_compressors(), options, plan_)),
      down_(on_this_journey(down_compressors(), options, plan_)),
      encoder_(has_server(options) ? make_device_encoder(options, model_.layout()->size()) : nullptr),
      received_(std::move(received)) {
  if (!received_ && has_server(options) && sends_differences(options))
    received_ = std::make_shared<ReceivedModels>(options, plan_);
  if (!received_) global_.resize(model_.layout()->size());
  for (const auto& compressor : up_) compressor_floats_ += compressor->state_floats();
}

Result<Parcel> Client::take_part(const Parcel& models, ClientState* state, std::function<bool()> called_off,
                                 GradientExchange* exchange) {
  const ClientId client = models.header().client;
  const Round round = models.header().round;

  const auto model = receive(models);
  if (!model) return model.fault();
  const auto terms = terms_of(models.header(), up_.front()->choices());
  if (!terms) return malformed("a model that asks for an update by an unknown method");
  if (!clipper_->takes(terms->clip_norm)) return malformed("a model with a clip norm that is none here");
  Update update = trainer_->train(model.value().values, {client, round, data_.client(client),
                                                         state == nullptr ? nullptr : &state->training,
                                                         std::move(called_off), terms->steps, exchange});
  update.info.client = client;
  update.info.round = round;
  update.info.sequence = static_cast<std::uint64_t>(round);

  ClippedUpdate clipped = clipper_->clip(std::move(update), terms->clip_norm);
  PrivateUpdate noised = mechanism_->privatize(std::move(clipped));
  Rng rng(seed_, Purpose::compression, static_cast<std::uint64_t>(client), static_cast<std::uint64_t>(round));
  CompressedUpdate compressed =
      compress(up_, plan_, std::move(noised), residuals(state), rng, terms->method, encoder_.get());
  return encode_update_parcel(models.header().run_id, compressed);
}

Result<SharedFloats> Client::receive(const Parcel& models) {
  if (models.frames() != plan_.shards()) return malformed("a model of too few or many ranges");
  if (received_) return received_->receive(models);
  for (std::size_t s = 0; s < plan_.shards(); ++s) {
    if (base_of(models[s].header) != 0) return malformed("a difference where models travel as a whole");
    const auto content = decode_model(models[s]);
    if (!content) return content.fault();
    if (auto read = down_[s]->decompress(content.value(), plan_.part(std::span<float>(global_), s)); !read)
      return read.fault();
  }
  return SharedFloats{nullptr, global_};
}

void Client::rewind(ClientId client, Round round) {
  if (received_) received_->rewind(client, round);
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
