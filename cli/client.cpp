// gossamer client: one client of a ZeroMQ server. Connects outwards only.
#include "cli/commands.h"
#include "cli/emulated_network.h"
#include "cli/federation.h"
#include "cli/peers.h"
#include "cli/zmq_limits.h"
#include "client/participant.h"
#include "comms/zmq_hub.h"
#include "core/error.h"

namespace gossamer {

int client_command(const CommandLine& line) {
  Federation federation(line);
  const Options& options = federation.options;
  const std::int64_t id = options.integer("client.id");

  if (id < 0 && options.text("topology.name") == "tree") {
    throw ConfigError(
        "client.id = -1: with topology.name = tree the id says which aggregator is a client's; give one");
  }

  ZmqClientSettings settings;
  settings.connect = options.text("server.connect");
  settings.client = id < 0 ? kUnassignedClient : id;
  settings.limits = zmq_limits(federation);
  const std::chrono::duration<double> patience(options.real("client.server_timeout_s"));
  const auto serve = [&](Transport& transport, const Participant::Reach& reach) {
    Participant participant(options, *federation.data);
    participant.serve(
        transport, {settings.client}, std::chrono::ceil<std::chrono::seconds>(patience),
        [&] { return federation.stop.requested(); }, reach);
    return 0;
  };
  if (options.integer("server.shards") > 1) {
    auto hub = make_zmq_hub();
    ZmqHub& connections = *hub;
    connections.connect(settings);
    const auto transport = at_a_distance(options, std::move(hub));
    return serve(*transport, [&](ClientId client, const std::vector<std::string>& shards) {
      for (std::size_t s = 1; s < shards.size(); ++s) {
        ZmqClientSettings further = settings;
        further.connect = shards[s];
        further.client = client;
        connections.connect(further);
      }
    });
  }
  const auto transport = at_a_distance(options, make_zmq_client(settings));
  if (are_peers(options)) {
    if (options.given("client.state_dir"))
      throw ConfigError("client.state_dir = " + options.text("client.state_dir") +
                        ": with topology.name = " + options.text("topology.name") +
                        " the server's checkpoints have what peers keep; leave it out");
    return run_peer(federation, *transport, settings.client);
  }
  return serve(*transport, {});
}

}  // namespace gossamer
