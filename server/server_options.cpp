#include "server/server_options.h"

#include "core/shard_plan.h"
#include "server/aggregators/aggregator.h"
#include "server/cohort/cohort_sampler.h"
#include "server/optimizers/server_optimizer.h"
#include "server/staleness/correction.h"
#include "server/staleness/staleness_weight.h"
#include "server/sync/sync_policy.h"

namespace gossamer {

void add_server_options(OptionSchema& schema) {
  schema.add(integer_option("run.rounds", 150, "rounds to train").at_least(0));
  schema.add(real_option("run.target_accuracy", 0, "stop at this test accuracy; 0: train all rounds")
                 .at_least(0)
                 .at_most(1));
  schema.add(integer_option("run.eval_every", 1, "rounds between evaluations; the last is always evaluated")
                 .at_least(1));

  add_methods(schema, server_optimizers().describe());
  schema.add(real_option("server.lr", 1, "server learning rate").above(0));
  add_methods(schema, aggregators().describe());
  schema.add(text_option("server.weighting", "examples", "weight of an update: its number of examples, or 1")
                 .one_of({"examples", "uniform"}));
  schema.add(integer_option("server.shards", 1,
                            "topology.name = parameter_server: servers that hold a range of the model each")
                 .at_least(1)
                 .at_most(kMostShards));
  schema.add(text_option("server.listen", "tcp://127.0.0.1:5555", "where `gossamer server` binds"));
  schema.add(
      text_option("server.connect", "tcp://127.0.0.1:5555", "where `gossamer client` finds its server"));
  schema.add(
      integer_option("server.checkpoint_every", 10, "rounds between checkpoints; 0: none").at_least(0));
  schema.add(
      real_option("server.client_timeout_s", 10, "silence after which a client counts as lost").above(0));

  add_methods(schema, cohort_samplers().describe());
  schema.add(real_option("cohort.fraction", 0.1,
                         "share of the clients that takes part in a round (C); at least one does")
                 .at_least(0)
                 .at_most(1));
  schema.add(
      integer_option("cohort.size", 0, "clients a round, in place of the fraction; 0: use the fraction")
          .at_least(0));
  schema.add(
      integer_option("cohort.min_size", 1, "fewest updates that make a new model version").at_least(1));
  schema.add(
      real_option("cohort.deadline_s", 0, "seconds until a round ends without those still missing; 0: wait")
          .at_least(0));

  add_methods(schema, sync_policies().describe());
  add_methods(schema, staleness_weights().describe());
  add_methods(schema, corrections().describe());
  schema.add(
      real_option("devices.straggler_fraction", 0,
                  "share of a cohort that manages only 1 .. E of its epochs; dropped, but kept by fedprox")
          .at_least(0)
          .at_most(1));
  schema.add(
      real_option("devices.straggler_slowdown", 1,
                  "above 1: that share of the clients is always so many times slower, and does all its work")
          .at_least(1));
}

}  // namespace gossamer
