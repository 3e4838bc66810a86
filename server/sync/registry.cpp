#include "server/sync/methods.h"

namespace gossamer {

const Registry<SyncPolicy>& sync_policies() {
  static const Registry<SyncPolicy> table{
      "sync_modes",
      "sync.mode",
      "bsp",
      "when a round is complete",
      {{{"bsp",
         "every participant of the round answers, is lost, or misses the deadline",
         "Valiant, A bridging model for parallel computation, 1990",
         {}},
        make_bsp}}};
  return table;
}

}  // namespace gossamer
