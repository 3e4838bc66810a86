#include "server/filters/methods.h"

namespace gossamer {

const Registry<UpdateFilter>& update_filters() {
  static const Registry<UpdateFilter> table{
      "filters",
      "topology.tree.filter",
      "none",
      "what of an aggregator's updates travels to its parent",
      {{{"none", "all of it, as 32-bit floats", "", {}}, make_no_filter},
       {{"gaia",
         "only what has become significant against the model's own value; the rest adds up until it has",
         "Hsieh, Harlap, Vijaykumar, Konomis, Ganger, Gibbons, Mutlu: Gaia: geo-distributed machine learning "
         "approaching LAN speeds, 2017",
         {real_option("topology.tree.filter.threshold", 0.01,
                      "v0: what travels in round t has changed by more than v0 / sqrt(t) of the value")
              .at_least(0)}},
        make_gaia}}};
  return table;
}

}  // namespace gossamer
