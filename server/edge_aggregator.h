#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "comms/topologies/tree.h"
#include "server/coordinator.h"
#include "server/filters/update_filter.h"

namespace gossamer {

// The sync mode of an inner node: sync.mode of the root, and of the others what topology.tree.sync says of
// their level. Throws ConfigError.
std::string tree_sync_mode(const Options& options, const TreePlan& plan, const TreeNode& node);

// The coordinator of an inner node and its children: the root's by sync.mode and all of [server], an
// aggregator's by its level's sync mode. `cohort.fraction` and `cohort.min_size` hold for clients; all
// aggregators take part. Throws ConfigError on a bad topology.tree.sync.
std::unique_ptr<Coordinator> make_node_coordinator(const Options& options, const TreePlan& plan,
                                                   const TreeNode& node,
                                                   std::shared_ptr<const Parameters> initial);

// An inner node of a tree below the root: to its children what a server is to clients, to its parent what a
// client is. It takes the parent's model, makes topology.tree.rounds rounds with its children, and answers
// with how these have moved it, weighted by what stands behind that. (A round with sync.mode = async is as
// many updates as a cohort has.) Between its answer and the next model its children rest, and what happens to
// them is heard then. No I/O, no clock. Not thread-safe.
class EdgeAggregator final : public Coordination {
 public:
  EdgeAggregator(const Options& options, const TreePlan& plan, const TreeNode& node,
                 std::shared_ptr<const Parameters> initial);

  // The parent's model for `round`, as a whole or as a difference to the one with the mark `base`, which is
  // the last that came. The same round again is answered with the same update; while the children work,
  // another one waits until they have finished.
  Result<Actions> asked(Round round, const Compressed& model, Seconds now, std::uint64_t base = 0);
  bool waits_for_parent() const noexcept { return !working_; }

  // Events of the children. Of the actions, Report is for the parent; Finish says why the aggregator cannot
  // go on (too few children are left), and Commit never comes out.
  Actions joined(ClientId child, Seconds now) override;
  Actions left(ClientId child, const std::string& reason, Seconds now) override;
  Actions arrived(const CompressedUpdate& update, Seconds now) override;
  Actions dropped(ClientId child, Round round, Seconds now) override;
  Actions deadline(Round round, Seconds now) override;
  Actions committed(std::optional<double> accuracy, Seconds now) override;

  const Progress& progress() const noexcept override { return coordinator_->progress(); }
  const Children& children() const noexcept override { return members_.children(); }
  std::int64_t population() const noexcept override { return members_.population(); }
  bool is_present(ClientId child) const override { return members_.is_present(child); }

  Round version() const noexcept override { return coordinator_->version(); }
  const std::shared_ptr<const Parameters>& model() const noexcept override { return coordinator_->model(); }
  void save(CheckpointWriter& writer) override { coordinator_->save(writer); }
  void restore(const CheckpointReader& reader) override { coordinator_->restore(reader); }

 private:
  using Event = std::function<Actions(Seconds)>;
  struct Order {
    Round round;
    Compressed model;
    std::uint64_t base;
  };

  Actions hear(Event event, Seconds now);
  Actions go_on(Seconds now);
  // Passes on what is for the children, and sees to the rest.
  Actions digested(Actions actions, Seconds now);
  Actions count(const Commit& commit, Seconds now);
  Report report();

  const ClientId id_;
  const Round rounds_;       // for each of the parent's
  const std::int64_t laps_;  // commits that are a round
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<UpdateFilter> filter_;
  ModelCodec codec_;
  Members members_;  // as of now, where the coordinator may not have heard yet

  bool working_ = false;
  bool paused_ = false;  // the coordinator waits for committed()
  Round round_ = 0;      // the parent's
  std::shared_ptr<const Parameters> base_;
  std::int64_t commits_ = 0;
  double weight_ = 0, loss_ = 0;  // sums over the commits
  std::int64_t samples_ = 0;
  SubtreeReport below_;
  std::deque<Event> held_;
  std::optional<Order> next_;
  std::optional<CompressedUpdate> last_;
};

}  // namespace gossamer
