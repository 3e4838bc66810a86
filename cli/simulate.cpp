// gossamer simulate: virtual clients in one process.
#include <thread>

#include "cli/commands.h"
#include "cli/federation.h"
#include "cli/peers.h"
#include "core/error.h"
#include "server/tree_coordinator.h"
#include "simulation/shared_line.h"
#include "simulation/simulation.h"

namespace gossamer {

int simulate_command(const CommandLine& line) {
  Federation federation(line);
  if (line.dry_run) return print_plan(federation, client_state_budget(federation.options));
  if (are_peers(federation.options)) return simulate_peers(federation);
  const Options& options = federation.options;
  RunFolder folder = RunFolder::create(options);

  const auto configured = static_cast<unsigned>(options.integer("run.threads"));
  const unsigned threads = configured > 0 ? configured : std::max(1U, std::thread::hardware_concurrency());
  TrainerPool pool(options, *federation.data, static_cast<int>(threads));
  Simulation simulation(options, *federation.data, pool,
                        ClientStates(client_state_budget(options), folder.path() / "client_states.tmp"));

  const auto coordinator = make_coordination(options, federation.initial, link_times(options));
  Place place;
  place.clock = "virtual";
  place.services.evaluate = [&](const Parameters& model) { return simulation.evaluate(model); };
  place.services.spilled_bytes = [&] { return simulation.states().spilled_bytes(); };
  if (saves_client_state(options, true)) {
    place.services.save_clients = [&](CheckpointWriter& writer) { simulation.states().save(writer); };
    place.restore_clients = [&](const CheckpointReader& reader) { simulation.states().load(reader); };
  }
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    try {
      return simulation.run(*coordinator, keeper, stop_requested);
    } catch (const RunError&) {
      simulation.states().drop_file();  // on a disk that is full: room for the model
      throw;
    }
  };
  return run_federation(federation, *coordinator, std::move(folder), std::move(place));
}

}  // namespace gossamer
