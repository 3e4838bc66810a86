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
         "Valiant, A bridging model for parallel computation, 1990; backup workers: Chen, Pan, Monga, "
         "Bengio, "
         "Jozefowicz, Revisiting distributed synchronous SGD, 2016",
         {integer_option(
              "sync.backup_workers", 0,
              "start so many more than the cohort; the first updates, as many as the cohort has, end "
              "the round")
              .at_least(0),
          text_option("sync.late", "cancel",
                      "work that comes too late: call it off, or let it finish in vain")
              .one_of({"cancel", "finish"}),
          text_option("sync.local_steps", "configured",
                      "local steps a round: as configured, or chosen by the server (set by adaptive_tau)")
              .one_of({"configured", "adaptive"}),
          real_option("sync.budget_s", 15, "adaptive: seconds of the run's clock in which to train").above(0),
          real_option("sync.phi", 0.025, "adaptive: the control parameter phi").above(0),
          integer_option("sync.max_local_steps", 100, "adaptive: local steps at most").at_least(1)}},
        make_bsp},
       {{"ssp",
         "each worker goes on by itself, at most sync.staleness rounds of work ahead of the slowest",
         "Ho, Cipar, Cui, Lee, Kim, Gibbons, Gibson, Ganger, Xing: More effective distributed ML via a stale "
         "synchronous parallel parameter server, 2013",
         {integer_option("sync.staleness", 3, "how far ahead of the slowest worker (s); 0 is bsp")
              .at_least(0)}},
        make_ssp},
       {{"async",
         "every update makes a new model version as it comes in",
         "Dean et al.: Large scale distributed deep networks, 2012; Xie, Koyejo, Gupta: Asynchronous "
         "federated "
         "optimization, 2019",
         {text_option("sync.pull", "with_work",
                      "when a client gets the model: with its next work, or on its request, which easgd and "
                      "eamsgd make after client.local_steps steps")
              .one_of({"with_work", "on_request"})}},
        make_async},
       {{"buffered",
         "the mean of every sync.buffer updates makes a new model version",
         "Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba: Federated learning with buffered "
         "asynchronous "
         "aggregation, 2022",
         {integer_option("sync.buffer", 10, "updates that make a new version (K)").at_least(1)}},
        make_buffered}}};
  return table;
}

}  // namespace gossamer
