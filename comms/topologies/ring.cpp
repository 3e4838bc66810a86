// Patarasuk, Yuan: Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009.
#include <utility>

#include "comms/topologies/methods.h"

namespace gossamer {
namespace {

// Up to here latency decides: one exchange instead of 2 (p - 1) hops, as long as the peers are few.
constexpr std::size_t kShortCount = 1024;
// Between two an exchange moves as many bytes as the ring, in one hop; a long vector, though, would be read
// and written more often where it does not stay in a cache.
constexpr std::size_t kShortCountOfTwo = std::size_t{1} << 18U;
constexpr int kFewPeers = 16;

class Ring final : public Topology {
 public:
  std::vector<Routes> all_reduce_routes(Rank self, int world_size) const override {
    return with_short_exchange(self, world_size, ring_routes(self, world_size));
  }

  Routes gather_routes(Rank self, int world_size) const override {
    Routes routes;
    routes.chunks = world_size;
    routes.sends_stay = true;
    const auto chunk = [&](int position) { return (position + world_size) % world_size; };
    for (int stage = 0; stage < world_size - 1; ++stage) {
      routes.stages.push_back({{{chunk(self + 1), chunk(self - stage)}},
                               {{chunk(self - 1), chunk(self - stage - 1), Combine::copy}}});
    }
    return routes;
  }

 private:
  // Chunk c is summed in the order of ranks c, c + 1, ... around the ring, so that it is complete at rank
  // c - 1 after p - 1 stages; p - 1 further ones pass it on.
  static Routes ring_routes(Rank self, int world_size) {
    const auto around = [world_size](int position) {
      return ((position % world_size) + world_size) % world_size;
    };
    Routes routes;
    routes.chunks = world_size;
    routes.sends_stay = true;  // a chunk comes back only from those who had it
    const Rank right = around(self + 1), left = around(self - 1);
    for (int stage = 0; stage < 2 * (world_size - 1); ++stage) {
      const Combine combine = stage < world_size - 1 ? Combine::add : Combine::copy;
      routes.stages.push_back({{{right, around(self - stage)}}, {{left, around(self - stage - 1), combine}}});
    }
    return routes;
  }
};

}  // namespace

std::vector<Routes> with_short_exchange(Rank self, int world_size, Routes otherwise) {
  std::vector<Routes> routes;
  if (world_size <= kFewPeers) {
    routes.push_back(exchange_routes(self, world_size));
    routes.back().max_count = world_size == 2 ? kShortCountOfTwo : kShortCount;
  }
  routes.push_back(std::move(otherwise));
  return routes;
}

std::unique_ptr<Topology> make_ring(const Options&) { return std::make_unique<Ring>(); }

}  // namespace gossamer
