// gossamer train, under mpirun: client k lives on rank k mod N; rank 0 coordinates, and trains too unless
// told otherwise. With server.shards = S ranks 1 .. S - 1 hold shards, and the clients live on the others.
#include <iostream>
#include <optional>
#include <thread>

#include "cli/commands.h"
#include "cli/federation.h"
#include "cli/peers.h"
#include "client/evaluator.h"
#include "client/participant.h"
#include "comms/mpi_transport.h"
#include "core/error.h"
#include "server/shard_process.h"
#include "server/sharded_coordinator.h"
#include "server/transport_driver.h"
#include "server/tree_coordinator.h"

namespace gossamer {
namespace {

constexpr std::chrono::seconds kHeadStart{2};
constexpr std::chrono::seconds kGrace{5};
constexpr std::chrono::seconds kRankPatience = std::chrono::hours(24 * 365);  // mpirun watches over the ranks

std::vector<ClientId> clients_of(Rank rank, int world_size, const Options& options) {
  const bool coordinator_trains = options.flag("train.coordinator_trains");
  const int others = static_cast<int>(options.integer("server.shards")) - 1 + (coordinator_trains ? 0 : 1);
  const int trainers = world_size - others;
  const int first = rank == 0 && coordinator_trains ? 0 : rank - others;
  std::vector<ClientId> clients;
  if (first < 0 || (rank > 0 && rank < options.integer("server.shards"))) return clients;
  for (ClientId client = first; client < options.integer("data.clients"); client += trainers)
    clients.push_back(client);
  return clients;
}

int coordinate(Federation& federation, Transport& transport, std::vector<ClientId> local_clients) {
  const Options& options = federation.options;
  RunFolder folder = RunFolder::create(options);
  Participant participant(options, *federation.data);
  Evaluator evaluator(participant.model(), federation.data->test());

  LocalClients local{
      std::move(local_clients), [&](const Parcel& models) { return participant.answer(models); }, {}};
  if (options.text("sync.pull") == "on_request")
    local.go_on = [&](const FrameHeader& model) { participant.go_on(model); };
  const auto shards = make_remote_shards(options, federation.initial, transport, std::nullopt);
  TransportDriver driver(
      options, transport, std::move(local),
      {std::nullopt, std::filesystem::absolute(folder.checkpoint_dir()).string(), shards.get()});
  // All aggregators of a tree live on this rank.
  const auto coordinator = shards ? std::make_unique<ShardedCoordinator>(options, federation.initial, shards)
                                  : make_coordination(options, federation.initial);
  Place place;
  place.clock = "wall";
  place.services.evaluate = [&](const Parameters& model) { return evaluator.evaluate(model.values); };
  if (saves_client_state(options)) {
    place.services.save_clients = [&](CheckpointWriter& writer) { participant.states().save(writer); };
    place.restore_clients = [&](const CheckpointReader& reader) { participant.states().load(reader); };
  }
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    return driver.run(*coordinator, keeper, stop_requested);
  };
  return run_federation(federation, *coordinator, std::move(folder), std::move(place));
}

int follow(Federation& federation, Transport& transport, std::vector<ClientId> clients) {
  Participant participant(federation.options, *federation.data);
  // mpirun passes a signal on to every rank. Rank 0 then ends the run for all of them; a rank that left first
  // would be one that it lost.
  participant.serve(transport, std::move(clients), kRankPatience,
                    [&] { return federation.stop.requested_since(kGrace); });
  return 0;
}

int hold_shard(Federation& federation, Transport& transport, Rank rank) {
  ShardProcess process(federation.options, *federation.initial, static_cast<std::size_t>(rank), transport);
  process.run("", kRankPatience, [&] { return federation.stop.requested_since(kGrace); });
  return 0;
}

int run_rank(const CommandLine& line, MpiSession& session) {
  Federation federation(line);
  if (line.dry_run) return session.rank() == 0 ? print_plan(federation) : 0;
  if (are_peers(federation.options)) return train_peers(federation, session);
  if (session.world_size() == 1 && !federation.options.flag("train.coordinator_trains")) {
    throw ConfigError(
        "train.coordinator_trains = false: with one rank nobody would train; start more with mpirun -n");
  }
  const auto shards = static_cast<int>(federation.options.integer("server.shards"));
  const int fewest = std::max(shards, federation.options.flag("train.coordinator_trains") ? 1 : shards + 1);
  if (session.world_size() < fewest) {
    throw ConfigError("server.shards = " + std::to_string(shards) +
                      ": a rank for each, and one that trains; " + "start at least " +
                      std::to_string(fewest) + " with mpirun -n");
  }
  const auto transport = make_mpi_transport(session, max_payload_bytes(*federation.initial));
  std::vector<ClientId> clients = clients_of(session.rank(), session.world_size(), federation.options);
  if (session.rank() > 0 && session.rank() < shards)
    return hold_shard(federation, *transport, session.rank());
  return session.rank() == 0 ? coordinate(federation, *transport, std::move(clients))
                             : follow(federation, *transport, std::move(clients));
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
