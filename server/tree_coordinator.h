#pragma once

#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "comms/frame.h"
#include "server/edge_aggregator.h"

namespace gossamer {

// The links above the clients: when a frame of so many bytes to or from an aggregator, of a round, has
// arrived that is sent now. Empty: at once.
struct LinkTimes {
  using Time = std::function<Seconds(std::size_t bytes, ClientId aggregator, Round round, Seconds now)>;
  Time down, up;
};

// A whole tree in one process, which to its driver looks like a coordinator of all clients. Between the
// aggregators and the root go encoded frames, which take their time where the driver keeps a virtual clock
// (Wake), and count in the metrics of the round in which they are sent. Not thread-safe.
class TreeCoordinator final : public Coordination {
 public:
  TreeCoordinator(const Options& options, std::shared_ptr<const Parameters> initial, LinkTimes times = {});

  Actions joined(ClientId client, Seconds now) override;
  Actions left(ClientId client, const std::string& reason, Seconds now) override;
  Actions arrived(const CompressedUpdate& update, Seconds now) override;
  Actions dropped(ClientId client, Round round, Seconds now) override;
  // Of a Wake.
  Actions deadline(Round token, Seconds now) override;
  Actions committed(std::optional<double> accuracy, Seconds now) override;

  const Progress& progress() const noexcept override { return root_->progress(); }
  const Children& children() const noexcept override { return clients_; }
  std::int64_t population() const noexcept override { return plan_.clients(); }
  bool is_present(ClientId client) const override { return parent_of(client).is_present(client); }

  Round version() const noexcept override { return root_->version(); }
  const std::shared_ptr<const Parameters>& model() const noexcept override { return root_->model(); }
  bool can_save() const noexcept override { return root_->can_save(); }
  // The root's: aggregators that keep nothing between rounds need no more.
  void save(CheckpointWriter& writer) override { root_->save(writer); }
  void restore(const CheckpointReader& reader) override { root_->restore(reader); }

 private:
  struct Delivery {
    ClientId aggregator;  // whose link it is
    Frame frame;          // a model for it, or its update
  };

  EdgeAggregator& aggregator(ClientId id) const {
    return *aggregators_[static_cast<std::size_t>(id - plan_.clients())];
  }
  EdgeAggregator& parent_of(ClientId client) const { return aggregator(plan_.parent_of(client)); }
  Coordination& inner(ClientId id) const {
    if (id == TreePlan::kRoot) return *root_;
    return aggregator(id);
  }
  // Sees to what an inner node asks for; returns what is left for the driver.
  Actions perform(ClientId node, Actions actions, Seconds now);
  Actions deliver(const Delivery& delivery, Seconds now);
  // Now, or by a Wake.
  void send(Delivery delivery, Seconds now, Actions& out);

  const TreePlan plan_;
  const LinkTimes times_;
  const std::uint64_t run_id_;
  const Children clients_;
  std::unique_ptr<Coordinator> root_;
  std::vector<std::unique_ptr<EdgeAggregator>> aggregators_;
  bool begun_ = false;
  std::int64_t token_ = 0;
  std::map<std::int64_t, Delivery> under_way_;
  std::uint64_t bytes_up_ = 0, bytes_down_ = 0;  // between aggregators and root, since the last commit
};

// What drives a run whose clients talk to this process alone: a tree as a whole, all shards of a server, or a
// server's coordinator.
std::unique_ptr<Coordination> make_coordination(const Options& options,
                                                std::shared_ptr<const Parameters> initial,
                                                LinkTimes times = {});

}  // namespace gossamer
