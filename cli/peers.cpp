#include "cli/peers.h"

#include <algorithm>
#include <thread>

#include "client/compressed_mean.h"
#include "comms/topologies/topology.h"
#include "compression/compressor.h"
#include "core/error.h"
#include "simulation/peer_simulation.h"

namespace gossamer {

bool are_peers(const Options& options) { return topologies().make(options)->kind() != TopologyKind::server; }

int simulate_peers(Federation& federation) {
  const Options& options = federation.options;
  RunFolder folder = RunFolder::create(options);
  const auto configured = static_cast<unsigned>(options.integer("run.threads"));
  const unsigned threads = configured > 0 ? configured : std::max(1U, std::thread::hardware_concurrency());
  TrainerPool pool(options, *federation.data, threads_for_peers(options, static_cast<int>(threads)));
  PeerSimulation simulation(options, *federation.data, pool);

  PeerCoordinator coordinator(options, federation.initial);
  Place place;
  place.clock = "virtual";
  place.services.evaluate = [&](const Parameters& model) { return simulation.evaluate(model); };
  place.drive = [&](RunKeeper& keeper, const std::function<bool()>& stop_requested) {
    return simulation.run(coordinator, keeper, stop_requested);
  };
  return run_federation(federation, coordinator, std::move(folder), std::move(place));
}

namespace {

// As if all messages were of the same length.
void plan_compressed_mean(const Options& options, const ParameterLayout& layout, const Topology& topology,
                          PeerWires& wires, std::span<Seconds> at, PeerPlan& plan) {
  const auto peers = static_cast<int>(at.size());
  const CompressedMeanCost cost = cost_of_compressed_mean(options, layout, topology, peers);
  plan.bytes = cost.bytes;
  plan.known = cost.known;
  plan.form = name_of(cost.form);
  std::vector<Routes> routes;
  for (Rank rank = 0; rank < peers; ++rank)
    routes.push_back(routes_of_compressed_mean(topology, rank, peers, cost.form));
  std::size_t sends = 0;
  for (const Stage& stage : routes[0].stages) sends += stage.sends.size();
  if (sends == 0) return;
  const std::size_t message = cost.bytes / sends / at.size();
  for (std::size_t stage = 0; stage < routes[0].stages.size(); ++stage) {
    std::vector<PeerWires::Message> messages;
    for (Rank rank = 0; rank < peers; ++rank) {
      const auto i = static_cast<std::size_t>(rank);
      for (const Send& send : routes[i].stages[stage].sends)
        messages.push_back({rank, send.to, message, at[i]});
    }
    wires.deliver(std::move(messages), 1, at);
  }
}

}  // namespace

PeerPlan plan_of_peers(const Options& options, const Model& model) {
  const auto topology = topologies().make(options);
  const int peers = static_cast<int>(options.integer("data.clients"));
  const DeviceModel devices(options);
  PeerWires wires(devices, peers);
  std::vector<Seconds> at(static_cast<std::size_t>(peers));
  const bool every_step = algorithms().make(options)->exchanges_gradients();
  const StepFloats floats =
      every_step ? floats_of_step(model, factor_rule(options)) : StepFloats{model.layout()->size(), 0};
  PeerPlan plan;
  if (const auto gossip = topology->gossip_plan(peers)) {
    const auto payload = down_compressors().make(options, *model.layout())->payload_bytes();
    const std::size_t frame = kFrameHeaderBytes + payload.value_or(floats.summed * sizeof(float));
    std::vector<PeerWires::Message> messages;
    for (Rank peer = 0; peer < peers; ++peer) {
      for (const MixingWeight& entry : gossip->row(peer, 1)) {
        if (entry.peer != peer) messages.push_back({peer, entry.peer, frame, 0});
      }
    }
    plan.known = payload.has_value();
    plan.bytes = messages.size() * frame;
    wires.deliver(std::move(messages), 1, at);
  } else if (options.text("compression.up") != "none") {
    plan_compressed_mean(options, *model.layout(), *topology, wires, at, plan);
  } else {
    const std::int64_t steps = every_step ? options.integer("client.local_steps") : 1;
    const auto shares = static_cast<std::size_t>(peers);
    for (Rank peer = 0; peer < peers; ++peer) {
      ExchangeBytes bytes = all_reduce_bytes(*topology, peer, peers, floats.summed + 1);
      bytes += gather_bytes(*topology, peer, peers, floats.gathered, (floats.gathered + shares - 1) / shares);
      plan.bytes += static_cast<std::uint64_t>(steps) * bytes.sent;
    }
    for (std::int64_t step = 0; step < steps && topology->kind() == TopologyKind::all_reduce; ++step) {
      wires.all_reduce(*topology, floats.summed + 1, 1, at);
      wires.gather(*topology, floats.gathered, 1, at);
    }
  }
  plan.exchange = *std::ranges::max_element(at);
  return plan;
}

}  // namespace gossamer
