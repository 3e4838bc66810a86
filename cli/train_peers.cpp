// gossamer train where the ranks are peers: client k lives on rank k mod N; rank 0 keeps the run too.
#include "cli/emulated_network.h"
#include "cli/peers.h"
#include "client/evaluator.h"
#include "client/peer_process.h"
#include "comms/collectives/mpi_link.h"
#include "comms/mpi_transport.h"
#include "core/error.h"
#include "server/peer_recorder.h"

namespace gossamer {
namespace {

constexpr std::chrono::hours kPatience{24 * 365};  // mpirun watches over the ranks

void check_ranks(const Options& options, const Topology& topology, int ranks) {
  const std::int64_t clients = options.integer("data.clients");
  const std::string chosen = "topology.name = " + options.text("topology.name");
  if (!options.flag("train.coordinator_trains"))
    throw ConfigError("train.coordinator_trains = false: with " + chosen + " every rank is a peer");
  if (topology.kind() == TopologyKind::gossip) {
    if (ranks > clients)
      throw ConfigError("data.clients = " + std::to_string(clients) + ": fewer peers than the job's " +
                        std::to_string(ranks) + " ranks; start it with mpirun -n " + std::to_string(clients));
  } else if (ranks != clients) {
    throw ConfigError("data.clients = " + std::to_string(clients) + ": with " + chosen +
                      " each of the job's " + std::to_string(ranks) +
                      " ranks is a client; give data.clients = " + std::to_string(ranks));
  }
}

}  // namespace

int train_peers(Federation& federation, MpiSession& session) {
  const Options& options = federation.options;
  const auto topology = topologies().make(options);
  check_ranks(options, *topology, session.world_size());
  const auto transport = at_a_distance(options, make_mpi_transport(session, max_payload_bytes(federation)));
  const auto network = make_rank_network(*transport, session.world_size());
  PeerProcess process(options, *federation.data);

  PeerPlace peers;
  peers.network = network.get();
  peers.patience = kPatience;
  for (ClientId client = session.rank(); client < options.integer("data.clients");
       client += session.world_size())
    peers.clients.push_back(client);
  if (topology->kind() == TopologyKind::all_reduce)
    sum_over(at_a_distance(options, make_mpi_link(session, *topology)), options, *topology, peers);
  if (topology->kind() == TopologyKind::library_all_reduce) peers.all_reduce = make_mpi_all_reduce(session);
  if (session.rank() != 0) {
    process.run(std::move(peers));
    return 0;
  }

  RunFolder folder = RunFolder::create(options);
  Evaluator evaluator(process.model(), federation.data->test());
  PeerCoordinator coordinator(options, federation.initial);
  Place place;
  place.clock = "wall";
  place.services.evaluate = [&](const Parameters& model) { return evaluator.evaluate(model.values); };
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    const auto start = std::chrono::steady_clock::now();
    const Seconds offset = keeper.time_offset();
    PeerRecorder recorder(
        options, coordinator, keeper,
        [&](ClientId client, const Frame& frame) { network->send(client, frame); },
        [&] {
          return offset + std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        });
    peers.record = [&](const Frame& frame) { recorder.take(frame); };
    peers.stop_requested = [&] {
      if (stop_requested()) recorder.stop();
      return false;  // this rank goes on until all can stop
    };
    for (ClientId client = 0; client < options.integer("data.clients"); ++client) recorder.join(client);
    return process.run(std::move(peers));
  };
  return run_federation(federation, coordinator, std::move(folder), std::move(place));
}

}  // namespace gossamer
