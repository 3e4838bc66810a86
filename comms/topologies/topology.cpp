#include "comms/topologies/topology.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "core/buffers.h"

namespace gossamer {
namespace {

// What each rank has sent in a stage, as it was when the stage began.
class Mail {
 public:
  explicit Mail(std::size_t world_size) : world_size_(world_size), parts_(world_size * world_size) {}

  void put(Rank from, const Send& send, std::span<const float> values) {
    Part& part = at(from, send.to);
    if (part.full) throw std::logic_error("routes: two sends to one peer in a stage");
    part.full = true;
    part.chunk = send.chunk;
    part.values.assign(values.begin(), values.end());
  }
  std::span<const float> take(Rank to, const Receive& receive) {
    Part& part = at(receive.from, to);
    if (!part.full || part.chunk != receive.chunk)
      throw std::logic_error("routes: a receive without its send");
    part.full = false;
    return part.values;
  }
  void expect_empty() const {
    if (std::ranges::any_of(parts_, &Part::full))
      throw std::logic_error("routes: a send that nobody receives");
  }

 private:
  struct Part {
    bool full = false;
    int chunk = 0;
    FloatBuffer values;
  };
  Part& at(Rank from, Rank to) {
    return parts_.at(static_cast<std::size_t>(from) * world_size_ + static_cast<std::size_t>(to));
  }
  std::size_t world_size_;
  std::vector<Part> parts_;
};

ExchangeBytes bytes_of(const Routes& routes, std::size_t count, std::size_t chunk) {
  ExchangeBytes bytes;
  for (const Stage& stage : routes.stages) {
    for (const Send& send : stage.sends)
      bytes.sent += chunk_range(count, chunk, send.chunk).size * sizeof(float);
    for (const Receive& receive : stage.receives)
      bytes.received += chunk_range(count, chunk, receive.chunk).size * sizeof(float);
  }
  return bytes;
}

}  // namespace

std::vector<Routes> Topology::all_reduce_routes(Rank, int) const { return {}; }

Routes Topology::gather_routes(Rank self, int world_size) const {
  Routes routes;
  routes.chunks = world_size;
  routes.sends_stay = true;
  if (world_size == 1) return routes;
  Stage& stage = routes.stages.emplace_back();
  for (int i = 1; i < world_size; ++i) stage.sends.push_back({(self + i) % world_size, self});
  for (int i = 1; i < world_size; ++i) {
    const Rank peer = (self - i + world_size) % world_size;
    stage.receives.push_back({peer, peer, Combine::copy});
  }
  return routes;
}

std::unique_ptr<GossipPlan> Topology::gossip_plan(int) const { return nullptr; }

std::unique_ptr<TreePlan> Topology::tree_plan(std::int64_t) const { return nullptr; }

const Routes& routes_for(const std::vector<Routes>& routes, std::size_t count) noexcept {
  return *std::ranges::find_if(routes, [count](const Routes& entry) { return entry.max_count >= count; });
}

ExchangeBytes all_reduce_bytes(const Topology& topology, Rank self, int world_size, std::size_t count) {
  const auto all = topology.all_reduce_routes(self, world_size);
  if (all.empty()) {
    const auto peers = static_cast<std::uint64_t>(world_size);
    const std::uint64_t bytes = 2 * (peers - 1) * count * sizeof(float) / peers;
    return {bytes, bytes};
  }
  const Routes& routes = routes_for(all, count);
  return bytes_of(routes, count, chunk_size(count, routes.chunks));
}

ExchangeBytes gather_bytes(const Topology& topology, Rank self, int world_size, std::size_t count,
                           std::size_t share) {
  return bytes_of(topology.gather_routes(self, world_size), count, share);
}

void all_reduce_in_process(const Topology& topology, std::span<const std::span<float>> vectors) {
  if (vectors.empty()) return;
  const std::size_t world_size = vectors.size();
  const std::size_t count = vectors[0].size();
  std::vector<Routes> routes;
  for (std::size_t rank = 0; rank < world_size; ++rank) {
    if (vectors[rank].size() != count)
      throw std::logic_error("all_reduce_in_process: vectors of different sizes");
    const auto all = topology.all_reduce_routes(static_cast<Rank>(rank), static_cast<int>(world_size));
    if (all.empty()) throw std::logic_error("all_reduce_in_process: this topology is no all-reduce");
    routes.push_back(routes_for(all, count));
    if (routes.back().chunks != routes[0].chunks || routes.back().stages.size() != routes[0].stages.size()) {
      throw std::logic_error("routes: ranks that do not agree on chunks or stages");
    }
  }
  const auto part_of = [&](std::size_t rank, int chunk) {
    const ChunkRange range = chunk_range(count, chunk_size(count, routes[rank].chunks), chunk);
    return vectors[rank].subspan(range.begin, range.size);
  };
  std::vector<FloatBuffer> held(world_size);
  Mail mail(world_size);
  for (std::size_t stage = 0; stage < routes[0].stages.size(); ++stage) {
    for (std::size_t rank = 0; rank < world_size; ++rank) {
      for (const Send& send : routes[rank].stages[stage].sends) {
        mail.put(static_cast<Rank>(rank), send, part_of(rank, send.chunk));
      }
    }
    for (std::size_t rank = 0; rank < world_size; ++rank) {
      for (const Receive& receive : routes[rank].stages[stage].receives) {
        const std::span<float> values = part_of(rank, receive.chunk);
        held[rank].resize(std::max(held[rank].size(), values.size()));
        combine_into(values, held[rank], std::as_bytes(mail.take(static_cast<Rank>(rank), receive)),
                     receive.combine);
      }
    }
    mail.expect_empty();
  }
}

}  // namespace gossamer
