// gossamer client: one client of a ZeroMQ server. Connects outwards only.
#include "cli/commands.h"
#include "cli/emulated_network.h"
#include "cli/federation.h"
#include "cli/peers.h"
#include "cli/zmq_limits.h"
#include "client/participant.h"
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
  const auto transport = at_a_distance(options, make_zmq_client(settings));
  if (are_peers(options)) return run_peer(federation, *transport, settings.client);
  Participant participant(options, *federation.data);
  const std::chrono::duration<double> patience(options.real("client.server_timeout_s"));
  participant.serve(*transport, {settings.client}, std::chrono::ceil<std::chrono::seconds>(patience),
                    [&] { return federation.stop.requested(); });
  return 0;
}

}  // namespace gossamer
