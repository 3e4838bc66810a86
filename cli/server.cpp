// gossamer server: coordinates clients that connect over ZeroMQ. Trains nothing itself.

#include "cli/commands.h"
#include "cli/emulated_network.h"
#include "cli/federation.h"
#include "cli/peers.h"
#include "cli/zmq_limits.h"
#include "client/evaluator.h"
#include "comms/topologies/topology.h"
#include "comms/zmq_hub.h"
#include "core/logging.h"
#include "server/shard_process.h"
#include "server/sharded_coordinator.h"
#include "server/transport_driver.h"

namespace gossamer {
namespace {

constexpr std::chrono::seconds kKeepAlive{1};
constexpr std::chrono::seconds kFarewell{20};  // for clients that hang; others go as soon as they know
// By then shard 0 has saved what it needs of the others.
constexpr std::chrono::seconds kShardGrace{kFarewell + std::chrono::seconds{10}};

ZmqServerSettings listening(const Federation& federation) {
  ZmqServerSettings settings;
  settings.listen = federation.options.text("server.listen");
  settings.insecure = federation.options.flag("security.insecure");
  settings.limits = zmq_limits(federation);
  settings.keep_alive = kKeepAlive;
  return settings;
}

// An inner node of a tree below the root: its folder is its parent's affair.
int aggregate(Federation& federation, const TreePlan& plan) {
  const Options& options = federation.options;
  const TreeNode& node = plan.aggregator(options.integer("server.id"));
  const auto below = at_a_distance(options, make_zmq_server(listening(federation)));
  ZmqClientSettings settings;
  settings.connect = options.text("server.connect");
  settings.client = node.id;
  settings.limits = zmq_limits(federation);
  const auto above = at_a_distance(options, make_zmq_client(settings));
  log_info("aggregator " + options.raw("server.id") + ": listening on " + below->endpoint() + " for " +
           std::to_string(node.children) + (node.over_clients ? " clients" : " aggregators"));
  EdgeAggregator aggregator(options, plan, node, federation.initial);
  ParentLink parent(options, *above, aggregator, node.id,
                    std::chrono::duration<double>(options.real("client.server_timeout_s")));
  TransportDriver driver(options, *below, {}, {kFarewell, ""});
  driver.run(aggregator, parent, [&] { return federation.stop.requested(); });
  return 0;
}

// Holds a further range of the model; the first shard's folder and decisions are not its affair.
int hold_shard(Federation& federation, std::int64_t number) {
  const Options& options = federation.options;
  check_reachable("server.listen", options.text("server.listen"), "clients");
  auto hub = make_zmq_hub(listening(federation));
  ZmqClientSettings settings;
  settings.connect = options.text("server.connect");
  settings.client = id_of_shard(options, static_cast<std::size_t>(number));
  settings.limits = zmq_limits(federation);
  hub->connect(settings);
  const auto transport = at_a_distance(options, std::move(hub));
  log_info("shard " + std::to_string(number) + ": listening on " + transport->endpoint());
  ShardProcess process(options, *federation.initial, static_cast<std::size_t>(number), *transport);
  process.run(transport->endpoint(), std::chrono::duration<double>(options.real("client.server_timeout_s")),
              [&] { return federation.stop.requested_since(kShardGrace); });
  return 0;
}

}  // namespace

int server_command(const CommandLine& line) {
  Federation federation(line);
  if (line.dry_run) return print_plan(federation);
  const Options& options = federation.options;
  const auto plan = topologies().make(options)->tree_plan(options.integer("data.clients"));
  if (plan && options.integer("server.id") >= 0) return aggregate(federation, *plan);
  if (options.integer("server.shards") > 1 && options.integer("server.id") > 0)
    return hold_shard(federation, options.integer("server.id"));
  const auto transport = at_a_distance(options, make_zmq_server(listening(federation)));
  RunFolder folder = RunFolder::create(options);
  log_info("listening on " + transport->endpoint() + " for " +
           (plan ? std::to_string(plan->root().children) + " aggregators"
                 : std::to_string(options.integer("data.clients")) + " clients" +
                       (options.integer("server.shards") > 1
                            ? " and " + std::to_string(options.integer("server.shards") - 1) + " other shards"
                            : "")));

  if (are_peers(options)) return introduce_peers(federation, *transport, std::move(folder));
  Evaluator evaluator(*federation.model, federation.data->test());
  const auto shards = make_remote_shards(options, federation.initial, *transport, kFarewell);
  TransportDriver driver(options, *transport, {}, {kFarewell, "", shards.get()});
  std::unique_ptr<Coordination> coordinator;
  if (plan) {
    coordinator = make_node_coordinator(options, *plan, plan->root(), federation.initial);
  } else if (shards) {
    coordinator = std::make_unique<ShardedCoordinator>(options, federation.initial, shards);
  } else {
    coordinator = make_coordinator(options, federation.initial);
  }
  Place place;
  place.clock = "wall";
  place.services.evaluate = [&](const Parameters& model) { return evaluator.evaluate(model.values); };
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    return driver.run(*coordinator, keeper, stop_requested);
  };
  return run_federation(federation, *coordinator, std::move(folder), std::move(place));
}

}  // namespace gossamer
