#include "comms/topologies/methods.h"

namespace gossamer {

const Registry<Topology>& topologies() {
  static const Registry<Topology> table{
      "topologies",
      "topology.name",
      "parameter_server",
      "who exchanges what with whom",
      {{{"parameter_server", "clients send updates to a server, which sends them its model", "", {}},
        make_parameter_server},
       {{"tree", "a server, aggregators below it on one or more levels, and clients below these",
         "Liu, Zhang, Song, Letaief: Client-edge-cloud hierarchical federated learning, 2020",
         tree_options()},
        make_tree},
       {{"ring",
         "peers; each adds to and passes on the chunks of its neighbour: a sum, then a gather",
         "Patarasuk, Yuan: Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009",
         {}},
        make_ring},
       {{"grouped_ring",
         "peers; a ring in every group, and rings of the groups above, for groups whose members are near",
         "Li, Park, Alian, Yuan, Qu, Pan, Wang, Schwing, Esmaeilzadeh, Kim: A network-centric "
         "hardware/algorithm co-design to accelerate distributed training of deep neural networks, 2018",
         grouped_ring_options()},
        make_grouped_ring},
       {{"all_to_all", "peers; each sends its vector to every other and sums in rank order", "", {}},
        make_all_to_all},
       {{"mpi_allreduce", "peers; the sum is MPI_Allreduce (under mpirun only)", "", {}}, make_mpi_allreduce},
       {{"gossip", "peers with a model each, which mix it with their neighbours'",
         "Lian, Zhang, Zhang, Hsieh, Zhang, Liu: Can decentralized algorithms outperform centralized "
         "algorithms?, 2017; Jin, Yuan, Iandola, Keutzer: How to scale distributed deep learning?, 2016; "
         "Blot, Picard, Cord, Thome: Gossip training for deep learning, 2016; Koloskova, Stich, Jaggi: "
         "Decentralized stochastic optimization and gossip algorithms with compressed communication, 2019",
         gossip_options()},
        make_gossip}}};
  return table;
}

TopologyKind kind_of_topology(const std::string& name) {
  auto schema = std::make_shared<OptionSchema>();
  schema->add(integer_option("run.seed", 0, ""));
  add_methods(*schema, topologies().describe());
  Options options(schema);
  options.set("topology.name", name);
  return topologies().make(options)->kind();
}

}  // namespace gossamer
