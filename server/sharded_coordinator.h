#pragma once

#include <memory>

#include "core/shard_plan.h"
#include "server/coordinator.h"
#include "server/shard_port.h"

namespace gossamer {

// A server whose model lies on several shards. Its coordinator decides, as that of a single server would,
// with the first range of the model in its hands; what it does to that, the others do to theirs, in the same
// order. To its driver and its keeper it looks like a coordinator of the whole model, which it puts together
// when it is asked for. Not thread-safe.
class ShardedCoordinator final : public Coordination {
 public:
  // Throws ConfigError where the model is too small. check_elementwise() holds.
  ShardedCoordinator(const Options& options, std::shared_ptr<const Parameters> initial,
                     std::shared_ptr<ShardPort> port);

  Actions joined(ClientId client, Seconds now) override;
  Actions left(ClientId client, const std::string& reason, Seconds now) override;
  // Of an update that came in here as a whole, all parts count; otherwise the caller has seen to that.
  Actions arrived(const CompressedUpdate& update, Seconds now) override;
  Actions dropped(ClientId client, Round round, Seconds now) override;
  Actions deadline(Round round, Seconds now) override;
  Actions ready(ClientId client, Seconds now) override;
  Actions committed(std::optional<double> accuracy, Seconds now) override;

  const Progress& progress() const noexcept override { return first_->progress(); }
  const Children& children() const noexcept override { return first_->children(); }
  std::int64_t population() const noexcept override { return first_->population(); }
  bool is_present(ClientId client) const override { return first_->is_present(client); }

  Round version() const noexcept override { return first_->version(); }
  // Waits for the shards where the model has changed. Once one is lost: the last model that was whole.
  const std::shared_ptr<const Parameters>& model() const override;
  const ParameterLayout& layout() const override { return *whole_->layout; }
  bool can_save() const noexcept override { return first_->can_save() && !port_->is_broken(); }
  // As a single server does, so that a run may go on with another number of shards.
  void save(CheckpointWriter& writer) override;
  void restore(const CheckpointReader& reader) override;

 private:
  Actions passed_on(Actions actions);

  const ShardPlan plan_;
  const std::shared_ptr<ShardPort> port_;
  const std::unique_ptr<Coordinator> first_;
  mutable std::shared_ptr<const Parameters> whole_;
  mutable std::shared_ptr<const Parameters> whole_of_;  // the first range that it was put together with
  std::vector<FloatBuffer> saved_;                      // what a writer has been given
};

// Throws ConfigError where the configuration has a method that looks at an update as a whole.
void check_elementwise(const Options& options);

// All shards in one process.
std::unique_ptr<Coordination> make_sharded_coordinator(const Options& options,
                                                       std::shared_ptr<const Parameters> initial);

}  // namespace gossamer
