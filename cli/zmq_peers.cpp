// gossamer server and gossamer client where the clients are peers.
#include "comms/zmq_peers.h"
#include "cli/emulated_network.h"
#include "cli/peers.h"
#include "cli/zmq_limits.h"
#include "client/evaluator.h"
#include "client/peer_process.h"
#include "client/peer_registration.h"
#include "comms/collectives/zmq_link.h"
#include "core/error.h"
#include "server/meeting_point.h"

namespace gossamer {
namespace {

std::unique_ptr<Link> link_to_peers(const Options& options, const Topology& topology, ZmqEndpoint& endpoint,
                                    const Introduction& introduction,
                                    std::chrono::duration<double> patience) {
  auto link = endpoint.connect(topology, static_cast<Rank>(introduction.client), introduction.addresses,
                               Link::Clock::now() + std::chrono::ceil<std::chrono::milliseconds>(patience));
  if (!link) {
    throw RunError("client " + std::to_string(link.fault().peer) + " cannot be reached (" +
                   link.fault().reason + ")");
  }
  return at_a_distance(options, std::move(link).value());
}

}  // namespace

int introduce_peers(Federation& federation, Transport& transport, RunFolder folder) {
  const Options& options = federation.options;
  Evaluator evaluator(*federation.model, federation.data->test());
  MeetingPoint meeting_point(options, transport);
  PeerCoordinator coordinator(options, federation.initial);
  Place place;
  place.clock = "wall";
  place.services.evaluate = [&](const Parameters& model) { return evaluator.evaluate(model.values); };
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    return meeting_point.run(coordinator, keeper, stop_requested);
  };
  return run_federation(federation, coordinator, std::move(folder), std::move(place));
}

int run_peer(Federation& federation, Transport& transport, ClientId client) {
  const Options& options = federation.options;
  const auto topology = topologies().make(options);
  const auto plan = topology->gossip_plan(static_cast<int>(options.integer("data.clients")));
  const std::string listen = options.text("client.listen");
  check_reachable("client.listen", listen, "the other peers");
  const ZmqLimits limits = zmq_limits(federation);
  const std::chrono::duration<double> patience(options.real("client.server_timeout_s"));
  const auto stop_requested = [&] { return federation.stop.requested(); };

  std::optional<ZmqEndpoint> endpoint;
  std::unique_ptr<Transport> inbox;
  if (plan) {
    ZmqServerSettings settings;
    settings.listen = listen;
    settings.insecure = options.flag("security.insecure");
    settings.limits = limits;
    inbox = at_a_distance(options, make_zmq_server(settings));
  } else {
    ZmqLinkSettings settings;
    settings.listen = listen;
    settings.insecure = options.flag("security.insecure");
    settings.group = options.digest();
    settings.heartbeat_interval = limits.heartbeat_interval;
    settings.heartbeat_timeout = limits.heartbeat_timeout;
    endpoint.emplace(settings);
  }
  PeerProcess process(options, *federation.data);
  const auto introduction =
      register_peer(transport, options, *federation.initial->layout, client,
                    plan ? inbox->endpoint() : endpoint->address(), patience, stop_requested);
  if (!introduction) return 0;
  if (std::ssize(introduction->addresses) != options.integer("data.clients"))
    throw RunError("the server's list of peers: not one address a client");

  std::map<ClientId, std::string> neighbours;
  PeerPlace place;
  if (plan) {
    for (const Rank peer : plan->graph().neighbours[static_cast<std::size_t>(introduction->client)])
      neighbours[peer] = introduction->addresses[static_cast<std::size_t>(peer)];
  } else {
    sum_over(link_to_peers(options, *topology, *endpoint, *introduction, patience), options, *topology,
             place);
  }
  const auto network = make_zmq_peers(transport, std::move(inbox), neighbours,
                                      {introduction->client, options.digest(), limits});
  place.network = network.get();
  place.clients = {introduction->client};
  place.stop_requested = stop_requested;
  place.patience = patience;
  process.run(std::move(place));
  return 0;
}

}  // namespace gossamer
