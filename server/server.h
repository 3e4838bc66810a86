#pragma once

#include <memory>

#include "compression/compressor.h"
#include "core/layout.h"
#include "server/aggregators/aggregator.h"
#include "server/optimizers/server_optimizer.h"

namespace gossamer {

// The server's half of the journey of one update: what happens to the numbers. Who takes part and when a
// round ends is the Coordinator's business. Does no I/O, holds no clock, starts no thread.
class Server {
 public:
  Server(const Options& options, std::shared_ptr<const Parameters> initial);

  // Round r: begin_round(), receive() for each update in client order, commit().
  // Forgets what an abandoned round left behind and encodes the model, once for everybody.
  Compressed begin_round();
  Result<std::monostate> receive(const CompressedUpdate& update);
  // Makes the next model version. Without a single update the model stays as it is.
  void commit();

  const std::shared_ptr<const Parameters>& model() const noexcept { return model_; }
  ServerOptimizer& optimizer() noexcept { return *optimizer_; }
  // Puts back a version, from a checkpoint.
  void restore(FloatBuffer values);

 private:
  double weight_of(const UpdateInfo& info) const;

  std::uint64_t seed_;
  bool uniform_weights_;
  std::shared_ptr<const Parameters> model_;
  std::unique_ptr<Compressor> up_;
  std::unique_ptr<Compressor> down_;
  std::unique_ptr<Aggregator> aggregator_;
  std::unique_ptr<ServerOptimizer> optimizer_;
  FloatBuffer pseudo_gradient_;
  std::int64_t received_ = 0;
};

}  // namespace gossamer
