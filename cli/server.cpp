// gossamer server: coordinates clients that connect over ZeroMQ. Trains nothing itself.

#include "cli/commands.h"
#include "cli/federation.h"
#include "cli/peers.h"
#include "cli/zmq_limits.h"
#include "client/evaluator.h"
#include "core/logging.h"
#include "server/transport_driver.h"

namespace gossamer {
namespace {

constexpr std::chrono::seconds kKeepAlive{1};
constexpr std::chrono::seconds kFarewell{20};  // for clients that hang; others go as soon as they know

}  // namespace

int server_command(const CommandLine& line) {
  Federation federation(line);
  if (line.dry_run) return print_plan(federation);
  const Options& options = federation.options;

  ZmqServerSettings settings;
  settings.listen = options.text("server.listen");
  settings.insecure = options.flag("security.insecure");
  settings.limits = zmq_limits(federation);
  settings.keep_alive = kKeepAlive;
  const auto transport = make_zmq_server(settings);
  RunFolder folder = RunFolder::create(options);
  log_info("listening on " + transport->endpoint() + " for " +
           std::to_string(options.integer("data.clients")) + " clients");

  if (are_peers(options)) return introduce_peers(federation, *transport, std::move(folder));
  Evaluator evaluator(*federation.model, federation.data->test());
  TransportDriver driver(options, *transport, {}, {kFarewell, ""});
  const auto coordinator = make_coordinator(options, federation.initial);
  Place place;
  place.clock = "wall";
  place.services.evaluate = [&](const Parameters& model) { return evaluator.evaluate(model.values); };
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    return driver.run(*coordinator, keeper, stop_requested);
  };
  return run_federation(federation, *coordinator, std::move(folder), std::move(place));
}

}  // namespace gossamer
