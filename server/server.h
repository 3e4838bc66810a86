#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "comms/shard_codec.h"
#include "compression/compressor.h"
#include "core/checkpoint.h"
#include "core/layout.h"
#include "privacy/private_sum.h"
#include "server/aggregators/aggregator.h"
#include "server/model_stream.h"
#include "server/optimizers/server_optimizer.h"
#include "server/staleness/correction.h"

namespace gossamer {

// The server's half of the journey of one update: what happens to the numbers. Who takes part, when work
// starts and when updates become a model is the Coordinator's business. Does no I/O, holds no clock, starts
// no thread.
class Server {
 public:
  Server(const Options& options, std::shared_ptr<const Parameters> initial);

  // Encodes a version of the model as a whole, once for everybody who gets it.
  Compressed encode(const std::shared_ptr<const Parameters>& version) const { return stream_.whole(version); }
  // The model as it is now, for a cohort that begins a round together. Once a round.
  ModelStream::Broadcast broadcast(Round round) { return stream_.next(model_, round); }
  const ModelStream& stream() const noexcept { return stream_; }
  // Forgets what was received since the last commit(). What comes next belongs to this round.
  void begin(Round round = 0);
  // Takes in an update: of this round's model, weighted by its examples; or of the older version `base`, with
  // the weight of its staleness. A malformed one changes nothing.
  Result<std::monostate> receive(const CompressedUpdate& update);
  Result<std::monostate> receive(const CompressedUpdate& update, double weight);
  Result<std::monostate> receive_stale(const CompressedUpdate& update, double weight, const Parameters& base);
  // Makes the next model version of what was received. Without a single update the model stays as it is, but
  // with privacy.placement = central, where it gets a round's noise.
  // `denominator`: what a mean divides by, if not by the sum of the weights.
  void commit(std::optional<double> denominator = std::nullopt);
  // Whether it does, and so has to be told: a model that stayed as it was would say that nobody came.
  bool noises_empty_rounds() const noexcept { return private_sum_.has_value(); }

  // Goes back to an earlier version of the model; what was received since the last commit() is forgotten.
  void go_back_to(std::shared_ptr<const Parameters> version);

  // Whether an update describes a change of this model.
  Result<std::monostate> check(const Compressed& update) { return decode(update); }
  // A server's ranges may lie on several shards, of which only one decides. Its Server notes down what it is
  // told, for those that hold the other ranges: begin(), an update that was taken in, commit(), and forget().
  void take_notes() { takes_notes_ = true; }
  std::vector<ShardOrder> notes() { return std::exchange(notes_, {}); }
  // Nobody waits for this client's work any more. Of no consequence here, but the others may hold a part.
  void forget(ClientId client) { note(ShardOrder::Kind::forget, client); }

  // How many of the updates since begin() the server had to bound itself; none where it bounds nothing.
  std::optional<std::int64_t> reclipped() const noexcept { return reclipped_; }

  // What this round's updates are to be clipped to, where the server chooses it.
  std::optional<double> round_clip_norm() const noexcept {
    return private_sum_ && private_sum_->adapts() ? std::optional(private_sum_->clip_norm()) : std::nullopt;
  }

  // How much an update counts in a mean.
  double weight_of(const UpdateInfo& info) const;
  // Updates are encoded otherwise than compression.up says.
  void read_updates_with(std::unique_ptr<Compressor> codec) { up_ = std::move(codec); }

  const std::shared_ptr<const Parameters>& model() const noexcept { return model_; }
  // Between commits: model, moments of the optimizer, state of the correction, what receivers hold.
  void save(CheckpointWriter& writer);
  void restore(const CheckpointReader& reader);

 private:
  Result<std::monostate> accumulate(const CompressedUpdate& update, double weight);
  Result<std::monostate> decode(const Compressed& update);
  void clear();
  void note(ShardOrder::Kind kind, ClientId client = 0, Round round = 0, double value = 0) {
    if (takes_notes_) notes_.push_back({kind, client, round, value});
  }

  bool uniform_weights_;
  std::shared_ptr<const Parameters> model_;
  std::unique_ptr<Compressor> up_;
  ModelStream stream_;
  std::unique_ptr<Aggregator> aggregator_;
  std::optional<PrivateSum> private_sum_;   // privacy.placement = central: in place of the aggregator
  std::unique_ptr<Correction> correction_;  // null: none
  std::unique_ptr<ServerOptimizer> optimizer_;
  FloatBuffer pseudo_gradient_;
  FloatBuffer decoded_;  // an update
  std::int64_t received_ = 0;
  Round round_ = 0;
  std::optional<std::int64_t> reclipped_;
  bool takes_notes_ = false;
  std::vector<ShardOrder> notes_;
};

}  // namespace gossamer
