#include "simulation/peer_wires.h"

#include <algorithm>
#include <tuple>

namespace gossamer {

PeerWires::PeerWires(const DeviceModel& devices, std::int64_t peers)
    : devices_(devices),
      up_free_(static_cast<std::size_t>(peers)),
      down_free_(static_cast<std::size_t>(peers)) {}

Seconds PeerWires::deliver(const Message& message, Round round) {
  const DeviceModel::Wire sender = devices_.wire(message.from, round);
  const DeviceModel::Wire receiver = devices_.wire(message.to, round);
  const auto bytes = static_cast<double>(message.bytes);
  Seconds& up_free = up_free_[static_cast<std::size_t>(message.from)];
  Seconds& down_free = down_free_[static_cast<std::size_t>(message.to)];
  const Seconds begin = std::max(message.sent, up_free);
  up_free = begin + sender.transmissions * bytes / sender.up;
  const Seconds latency = sender.transmissions * sender.latency;
  // The first byte arrives a latency after it left; the last one not before it left, nor before the
  // receiver's link has carried them all.
  down_free = std::max(up_free + latency, std::max(begin + latency, down_free) + bytes / receiver.down);
  return down_free;
}

void PeerWires::deliver(std::vector<Message> messages, Round round, std::span<Seconds> at) {
  std::ranges::stable_sort(messages, {}, [](const Message& m) { return std::tie(m.sent, m.from); });
  for (const Message& message : messages) {
    Seconds& arrived = at[static_cast<std::size_t>(message.to)];
    arrived = std::max(arrived, deliver(message, round));
  }
}

void PeerWires::all_reduce(const Topology& topology, std::size_t count, Round round, std::span<Seconds> at) {
  std::vector<Routes> routes;
  for (std::size_t rank = 0; rank < at.size(); ++rank) {
    routes.push_back(
        routes_for(topology.all_reduce_routes(static_cast<Rank>(rank), static_cast<int>(at.size())), count));
  }
  for (std::size_t stage = 0; stage < routes[0].stages.size(); ++stage) {
    std::vector<Message> messages;
    for (std::size_t rank = 0; rank < at.size(); ++rank) {
      for (const Send& send : routes[rank].stages[stage].sends) {
        const std::size_t size = chunk_range(count, routes[rank].chunks, send.chunk).size;
        if (size > 0)
          messages.push_back({static_cast<ClientId>(rank), send.to, size * sizeof(float), at[rank]});
      }
    }
    deliver(std::move(messages), round, at);
  }
}

}  // namespace gossamer
