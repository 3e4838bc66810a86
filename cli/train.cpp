// gossamer train, under mpirun: client k lives on rank k mod N; rank 0 coordinates, and trains too unless
// told otherwise. A tree's aggregators live on rank 0, or each on a rank of its own. With server.shards = S
// ranks 1 .. S - 1 hold shards, and the clients live on the others.
#include <algorithm>
#include <iostream>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "cli/emulated_network.h"
#include "cli/federation.h"
#include "cli/peers.h"
#include "client/evaluator.h"
#include "client/participant.h"
#include "comms/mpi_transport.h"
#include "comms/split_transport.h"
#include "comms/topologies/topology.h"
#include "core/error.h"
#include "core/logging.h"
#include "server/shard_process.h"
#include "server/sharded_coordinator.h"
#include "server/transport_driver.h"
#include "server/tree_coordinator.h"

namespace gossamer {
namespace {

constexpr std::chrono::seconds kHeadStart{2};
constexpr std::chrono::seconds kGrace{5};
constexpr std::chrono::seconds kRankPatience = std::chrono::hours(24 * 365);  // mpirun watches over the ranks

// Who lives on which rank: shards and aggregators, which train nothing, and the clients on the others.
class Seats {
 public:
  Seats(const Options& options, int world_size) : clients_(options.integer("data.clients")) {
    const bool apart = options.flag("train.aggregator_ranks");
    if (apart) plan_ = topologies().make(options)->tree_plan(clients_);
    if (apart && !plan_)
      throw ConfigError(
          "train.aggregator_ranks = true: only with topology.name = tree are there aggregators");
    shards_ = static_cast<int>(options.integer("server.shards"));
    const int served = plan_ ? 1 + static_cast<int>(plan_->aggregators()) : shards_;
    if (options.flag("train.coordinator_trains") && !plan_) trainers_.push_back(0);
    for (Rank rank = served; rank < world_size; ++rank) trainers_.push_back(rank);
    const int fewest = served + (trainers_.empty() ? 1 : 0);
    if (world_size >= fewest && !trainers_.empty()) return;
    const std::string ranks = "; start at least " + std::to_string(fewest) + " with mpirun -n";
    if (plan_)
      throw ConfigError("train.aggregator_ranks = true: a root, " + std::to_string(plan_->aggregators()) +
                        " aggregators and clients need more than " + std::to_string(world_size) + " ranks" +
                        ranks);
    if (shards_ > 1)
      throw ConfigError("server.shards = " + std::to_string(shards_) +
                        ": a rank for each, and one that trains" + ranks);
    throw ConfigError(
        "train.coordinator_trains = false: with one rank nobody would train; start more with mpirun -n");
  }

  // Where aggregators have ranks of their own; null: they live on rank 0, or there are none.
  const TreePlan* plan() const noexcept { return plan_.get(); }
  // The rank of an aggregator, or of the root.
  Rank of_node(ClientId id) const {
    return id == TreePlan::kRoot ? 0 : 1 + static_cast<Rank>(id - plan_->clients());
  }
  std::optional<TreeNode> node_on(Rank rank) const {
    if (!plan_ || rank < 1 || rank > plan_->aggregators()) return std::nullopt;
    return plan_->aggregator(rank - 1);
  }
  bool is_shard(Rank rank) const noexcept { return rank > 0 && rank < shards_; }
  std::vector<ClientId> clients_on(Rank rank) const {
    std::vector<ClientId> clients;
    const auto place = std::ranges::find(trainers_, rank);
    if (place == trainers_.end()) return clients;
    for (ClientId client = place - trainers_.begin(); client < clients_; client += std::ssize(trainers_))
      clients.push_back(client);
    return clients;
  }

 private:
  std::int64_t clients_;
  int shards_;
  std::unique_ptr<TreePlan> plan_;
  std::vector<Rank> trainers_;
};

int coordinate(Federation& federation, Transport& transport, const Seats& seats) {
  const Options& options = federation.options;
  RunFolder folder = RunFolder::create(options);
  Participant participant(options, *federation.data);
  Evaluator evaluator(participant.model(), federation.data->test());

  LocalClients local{
      seats.clients_on(0), [&](const Parcel& models) { return participant.answer(models); }, {}};
  if (options.text("sync.pull") == "on_request")
    local.go_on = [&](const FrameHeader& model) { participant.go_on(model); };
  const auto shards = make_remote_shards(options, federation.initial, transport, std::nullopt);
  TransportDriver driver(
      options, transport, std::move(local),
      {std::nullopt, std::filesystem::absolute(folder.checkpoint_dir()).string(), shards.get()});
  std::unique_ptr<Coordination> coordinator;
  if (seats.plan() != nullptr) {
    coordinator = make_node_coordinator(options, *seats.plan(), seats.plan()->root(), federation.initial);
  } else if (shards) {
    coordinator = std::make_unique<ShardedCoordinator>(options, federation.initial, shards);
  } else {
    coordinator = make_coordination(options, federation.initial);
  }
  Place place;
  place.clock = "wall";
  place.services.evaluate = [&](const Parameters& model) { return evaluator.evaluate(model.values); };
  if (saves_client_state(options, false)) {
    place.services.save_clients = [&](CheckpointWriter& writer) { participant.states().save(writer); };
    place.restore_clients = [&](const CheckpointReader& reader) { participant.states().load(reader); };
  }
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    return driver.run(*coordinator, keeper, stop_requested);
  };
  return run_federation(federation, *coordinator, std::move(folder), std::move(place));
}

int follow(Federation& federation, std::unique_ptr<Transport> transport, const Seats& seats, Rank rank) {
  const Options& options = federation.options;
  const TreePlan* plan = seats.plan();
  SplitTransport sides;
  if (plan != nullptr) {
    sides = split_transport(std::move(transport),
                            [&](ClientId client) { return seats.of_node(plan->parent_of(client)); });
  }
  Transport& above = plan != nullptr ? *sides.above : *transport;
  // mpirun passes a signal on to every rank. Rank 0 then ends the run for all of them; a rank that left first
  // would be one that it lost.
  const auto stop_requested = [&] { return federation.stop.requested_since(kGrace); };
  if (seats.is_shard(rank)) {
    ShardProcess process(options, *federation.initial, static_cast<std::size_t>(rank), *transport);
    process.run("", kRankPatience, stop_requested);
  } else if (const auto node = seats.node_on(rank)) {
    EdgeAggregator aggregator(options, *plan, *node, federation.initial);
    ParentLink parent(options, above, aggregator, node->id, kRankPatience);
    TransportDriver driver(options, *sides.below, {}, {std::nullopt, ""});
    driver.run(aggregator, parent, stop_requested);
  } else if (const auto clients = seats.clients_on(rank); !clients.empty()) {
    Participant participant(options, *federation.data);
    participant.serve(above, clients, kRankPatience, stop_requested);
  } else {
    // Nobody would tell it of the end.
    log_warning("rank " + std::to_string(rank) + " has no clients: there are more ranks than clients");
  }
  return 0;
}

int run_rank(const CommandLine& line, MpiSession& session) {
  Federation federation(line);
  if (line.dry_run) return session.rank() == 0 ? print_plan(federation) : 0;
  if (are_peers(federation.options)) return train_peers(federation, session);
  const Seats seats(federation.options, session.world_size());
  auto transport =
      at_a_distance(federation.options, make_mpi_transport(session, max_payload_bytes(federation)));
  return session.rank() == 0 ? coordinate(federation, *transport, seats)
                             : follow(federation, std::move(transport), seats, session.rank());
}

}  // namespace

// A rank that fails takes the job down with it, so it says why before that. What is wrong with a
// configuration every rank finds out: rank 0 says it, and the others give it the time to.
int train_command(const CommandLine& line) {
  block_stop_signals();  // MPI's threads inherit that; one that takes a signal ends the rank
  MpiSession session;
  const auto fail = [&](const std::string& what, int exit_code, bool everywhere) {
    if (session.rank() != 0 && everywhere) std::this_thread::sleep_for(kHeadStart);
    const std::string who = session.rank() == 0 ? "" : "rank " + std::to_string(session.rank()) + ": ";
    std::cerr << "gossamer: " + who + what + "\n" << std::flush;
    session.abort(exit_code);
  };
  try {
    return run_rank(line, session);
  } catch (const Error& error) {
    fail(error.what(), error.exit_code(), error.exit_code() == 2);
  } catch (const std::exception& error) {
    fail(std::string("internal error: ") + error.what(), 3, false);
  }
  return 3;
}

}  // namespace gossamer
