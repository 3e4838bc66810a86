#include "comms/topologies/methods.h"

namespace gossamer {

const Registry<Topology>& topologies() {
  static const Registry<Topology> table{
      "topologies",
      "topology.name",
      "ring",
      "who exchanges what with whom",
      {{{"ring",
         "each peer adds to and passes on the chunks of its neighbour: a sum, then a gather",
         "Patarasuk, Yuan: Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009",
         {}},
        make_ring},
       {{"all_to_all", "each peer sends its vector to every other and sums in rank order", "", {}},
        make_all_to_all}}};
  return table;
}

}  // namespace gossamer
