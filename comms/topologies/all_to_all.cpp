// Each peer to every other: one hop, (p - 1) times the vector to send for each.
#include "comms/topologies/methods.h"

namespace gossamer {
namespace {

class AllToAll final : public Topology {
 public:
  std::vector<Routes> all_reduce_routes(Rank self, int world_size) const override {
    return {exchange_routes(self, world_size)};
  }
};

// Everybody computes ((x0 + x1) + x2) + ...; whose own values come third or later holds the sum of those
// before them.
Combine combine_from(Rank peer, Rank self) {
  if (self < 2 || peer > self) return Combine::add;
  if (peer == self - 1) return Combine::add_with_held;
  return peer == 0 ? Combine::hold : Combine::add_to_held;
}

}  // namespace

Routes exchange_routes(Rank self, int world_size) {
  Routes routes;
  if (world_size == 1) return routes;
  Stage& stage = routes.stages.emplace_back();
  // The neighbour to the right first, so that not everybody begins with rank 0.
  for (int i = 1; i < world_size; ++i) stage.sends.push_back({(self + i) % world_size, 0});
  for (Rank peer = 0; peer < world_size; ++peer) {
    if (peer != self) stage.receives.push_back({peer, 0, combine_from(peer, self)});
  }
  return routes;
}

std::unique_ptr<Topology> make_all_to_all(const Options&) { return std::make_unique<AllToAll>(); }

}  // namespace gossamer
