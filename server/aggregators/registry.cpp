#include "server/aggregators/methods.h"

namespace gossamer {

const Registry<Aggregator>& aggregators() {
  static const Registry<Aggregator> table{
      "aggregators",
      "server.aggregator",
      "mean",
      "how a round's updates become one",
      {{{"mean",
         "weighted mean over the sampled cohort",
         "McMahan et al., Communication-efficient learning of deep networks from decentralized data, 2017",
         {}},
        make_mean}}};
  return table;
}

}  // namespace gossamer
