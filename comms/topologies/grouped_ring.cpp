// A ring in every group, and rings of the groups above (Li, Park, Alian, Yuan, Qu, Pan, Wang, Schwing,
// Esmaeilzadeh, Kim: "A network-centric hardware/algorithm co-design to accelerate distributed training of
// deep neural networks", MICRO 2018). Rank r is number r % m of group r / m, m ranks a group. A vector is m
// parts of as many chunks as there are groups. Each group sums its parts around its ring; those who then have
// the same part, one of each group, sum that chunk by chunk around a ring of their own, and pass the sums on;
// and each group passes them around its ring. It moves as many bytes as one ring of all in as many stages,
// but from group to group only in 2 (groups - 1) of them, and a chunk is added to m + groups - 2 times on its
// way.
#include <cmath>
#include <string>

#include "comms/topologies/methods.h"
#include "core/error.h"

namespace gossamer {
namespace {

int around(int position, int size) { return ((position % size) + size) % size; }

// One rank's place.
struct Place {
  int groups, members;
  int group, member;

  Rank rank(int of_group, int number) const {
    return around(of_group, groups) * members + around(number, members);
  }
  int chunk(int part, int number) const { return around(part, members) * groups + around(number, groups); }
};

// One step around the ring of the group, with a part, chunk by chunk.
void step_in_group(Routes& routes, const Place& at, int sent, int received, Combine combine) {
  for (int number = 0; number < at.groups; ++number) {
    routes.stages.push_back({{{at.rank(at.group, at.member + 1), at.chunk(sent, number)}},
                             {{at.rank(at.group, at.member - 1), at.chunk(received, number), combine}}});
  }
}

// One step around the ring of those with the same number, with chunks of a part.
void step_between_groups(Routes& routes, const Place& at, int part, int sent, Combine combine) {
  routes.stages.push_back({{{at.rank(at.group + 1, at.member), at.chunk(part, sent)}},
                           {{at.rank(at.group - 1, at.member), at.chunk(part, sent - 1), combine}}});
}

class GroupedRing final : public Topology {
 public:
  explicit GroupedRing(int groups) : groups_(groups) {}

  std::vector<Routes> all_reduce_routes(Rank self, int world_size) const override {
    const Place at = place_of(self, world_size);
    Routes routes;
    routes.chunks = world_size;
    // A chunk that was sent comes back only as a sum of what its receiver, too, has added to.
    routes.sends_stay = true;
    for (int step = 0; step < at.members - 1; ++step)
      step_in_group(routes, at, at.member - step, at.member - step - 1, Combine::add);
    const int part = at.member + 1;  // that the group's sum is complete of
    for (int step = 0; step < at.groups - 1; ++step)
      step_between_groups(routes, at, part, at.group - step, Combine::add);
    for (int step = 0; step < at.groups - 1; ++step)
      step_between_groups(routes, at, part, at.group + 1 - step, Combine::copy);
    for (int step = 0; step < at.members - 1; ++step)
      step_in_group(routes, at, part - step, part - step - 1, Combine::copy);
    return with_short_exchange(self, world_size, std::move(routes));
  }

  // First between the groups, then each passes around what its members have got of all.
  Routes gather_routes(Rank self, int world_size) const override {
    const Place at = place_of(self, world_size);
    Routes routes;
    routes.chunks = world_size;
    routes.sends_stay = true;
    for (int step = 0; step < at.groups - 1; ++step) {
      routes.stages.push_back(
          {{{at.rank(at.group + 1, at.member), at.rank(at.group - step, at.member)}},
           {{at.rank(at.group - 1, at.member), at.rank(at.group - step - 1, at.member), Combine::copy}}});
    }
    for (int step = 0; step < at.members - 1; ++step) {
      for (int group = 0; group < at.groups; ++group) {
        routes.stages.push_back(
            {{{at.rank(at.group, at.member + 1), at.rank(group, at.member - step)}},
             {{at.rank(at.group, at.member - 1), at.rank(group, at.member - step - 1), Combine::copy}}});
      }
    }
    return routes;
  }

 private:
  Place place_of(Rank self, int world_size) const {
    const int groups = groups_ > 0 ? groups_ : nearly_square(world_size);
    if (world_size % groups != 0) {
      throw ConfigError(
          "topology.grouped_ring.groups = " + std::to_string(groups) + ": " + std::to_string(world_size) +
          " peers are not so many groups of one size, in which each has its counterpart in every "
          "other; expected a divisor of data.clients, or 0");
    }
    const int members = world_size / groups;
    return {groups, members, self / members, self % members};
  }
  // The largest divisor that is not above the root.
  static int nearly_square(int world_size) {
    int groups = static_cast<int>(std::sqrt(static_cast<double>(world_size)));
    while (world_size % groups != 0) --groups;
    return groups;
  }

  int groups_;
};

}  // namespace

std::vector<OptionSpec> grouped_ring_options() {
  return {
      integer_option("topology.grouped_ring.groups", 0,
                     "groups of consecutive peers, all of one size; 0: the divisor of data.clients nearest "
                     "to its root, from below")
          .at_least(0)
          .at_most(65'536)};
}

std::unique_ptr<Topology> make_grouped_ring(const Options& options) {
  return std::make_unique<GroupedRing>(static_cast<int>(options.integer("topology.grouped_ring.groups")));
}

}  // namespace gossamer
