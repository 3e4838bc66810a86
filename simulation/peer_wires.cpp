#include "simulation/peer_wires.h"

#include <algorithm>
#include <tuple>

namespace gossamer {

PeerWires::PeerWires(const DeviceModel& devices, std::int64_t peers)
    : devices_(devices),
      up_free_(static_cast<std::size_t>(peers)),
      down_free_(static_cast<std::size_t>(peers)) {}

Seconds PeerWires::deliver(const Message& message, Round round) { return arrive(upload(message, round)); }

PeerWires::Transfer PeerWires::upload(const Message& message, Round round) {
  const DeviceModel::Wire wire = devices_.wire(message.from, round);
  Seconds& up_free = up_free_[static_cast<std::size_t>(message.from)];
  const Seconds begin = std::max(message.sent, up_free);
  up_free = begin + wire.transmissions * static_cast<double>(message.bytes) / wire.up;
  const Seconds latency = wire.transmissions * wire.latency;
  return {message.to, static_cast<double>(message.bytes) / devices_.wire(message.to, round).down,
          begin + latency, up_free + latency};
}

// The receiver's link takes in transfers one after the other, each at its own rate, but the last byte not
// before it has come.
Seconds PeerWires::arrive(const Transfer& transfer) {
  Seconds& down_free = down_free_[static_cast<std::size_t>(transfer.to)];
  down_free = std::max(down_free, transfer.first_byte) + transfer.seconds_down;
  return std::max(down_free, transfer.last_byte);
}

void PeerWires::deliver(std::vector<Message> messages, Round round, std::span<Seconds> at) {
  std::ranges::stable_sort(messages, {}, [](const Message& m) { return std::tie(m.sent, m.from); });
  std::vector<Transfer> transfers;
  for (const Message& message : messages) transfers.push_back(upload(message, round));
  std::ranges::stable_sort(transfers, {}, &Transfer::first_byte);
  for (const Transfer& transfer : transfers) {
    Seconds& arrived = at[static_cast<std::size_t>(transfer.to)];
    arrived = std::max(arrived, arrive(transfer));
  }
}

void PeerWires::all_reduce(const Topology& topology, std::size_t count, Round round, std::span<Seconds> at) {
  const auto peers = static_cast<int>(at.size());
  std::vector<Routes> routes;
  for (Rank rank = 0; rank < peers; ++rank)
    routes.push_back(routes_for(topology.all_reduce_routes(rank, peers), count));
  follow(routes, count, chunk_size(count, routes[0].chunks), round, at);
}

void PeerWires::gather(const Topology& topology, std::size_t count, Round round, std::span<Seconds> at) {
  const auto peers = static_cast<int>(at.size());
  std::vector<Routes> routes;
  for (Rank rank = 0; rank < peers; ++rank) routes.push_back(topology.gather_routes(rank, peers));
  follow(routes, count, (count + at.size() - 1) / at.size(), round, at);
}

void PeerWires::follow(const std::vector<Routes>& routes, std::size_t count, std::size_t chunk, Round round,
                       std::span<Seconds> at) {
  for (std::size_t stage = 0; stage < routes[0].stages.size(); ++stage) {
    std::vector<Message> messages;
    for (std::size_t rank = 0; rank < at.size(); ++rank) {
      for (const Send& send : routes[rank].stages[stage].sends) {
        const std::size_t size = chunk_range(count, chunk, send.chunk).size;
        if (size > 0)
          messages.push_back({static_cast<ClientId>(rank), send.to, size * sizeof(float), at[rank]});
      }
    }
    deliver(std::move(messages), round, at);
  }
}

}  // namespace gossamer
