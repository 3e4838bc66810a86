#include "cli/configuration.h"

#include "client/datasets/data_options.h"
#include "client/datasets/dataset.h"
#include "client/datasets/partition.h"
#include "client/models/model_options.h"
#include "client/models/models.h"
#include "client/optimizers/client_optimizer.h"
#include "client/trainers/client_options.h"
#include "client/trainers/trainer.h"
#include "compression/compressor.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"
#include "server/aggregators/aggregator.h"
#include "server/cohort/cohort_sampler.h"
#include "server/optimizers/server_optimizer.h"
#include "server/server_options.h"
#include "server/sync/sync_policy.h"
#include "simulation/device_model.h"

namespace gossamer {
namespace {

// Where and how a run happens.
void add_run_options(OptionSchema& schema) {
  schema.add(text_option("run.name", "run", "names the folder runs/<name>"));
  schema.add(integer_option("run.seed", 1, "seed of every random stream").at_least(0));
  schema.add(text_option("run.out", "", "the run's folder; empty: runs/<name> with the next free suffix"));
  schema.add(integer_option("run.threads", 0, "trainer threads of a simulation; 0: one per core")
                 .at_least(0)
                 .at_most(1024));
  schema.add(flag_option("run.overwrite", false, "replace what is in run.out"));
  schema.add(flag_option("run.resume", false, "go on from the newest checkpoint in run.out"));
}

void add_place_options(OptionSchema& schema) {
  schema.add(
      integer_option("client.id", -1, "this client's id, 0 .. data.clients - 1; -1: the server gives one")
          .at_least(-1));
  schema.add(real_option("client.server_timeout_s", 60, "silence after which a client gives its server up")
                 .above(0));
  schema.add(
      flag_option("train.coordinator_trains", true, "under mpirun: rank 0 coordinates and trains too"));
  schema.add(flag_option("security.insecure", false, "let the server bind beyond loopback, without keys"));
}

void refuse(const std::string& what) { throw ConfigError(what); }

}  // namespace

std::vector<MethodGroup> all_methods() {
  return {datasets().describe(),          partitions().describe(),        models().describe(),
          algorithms().describe(),        client_optimizers().describe(), aggregators().describe(),
          server_optimizers().describe(), cohort_samplers().describe(),   sync_policies().describe(),
          up_compressors().describe(),    clippers().describe(),          privacy_mechanisms().describe()};
}

std::shared_ptr<const OptionSchema> full_schema() {
  auto schema = std::make_shared<OptionSchema>();
  add_run_options(*schema);
  add_methods(*schema, datasets().describe());
  add_data_options(*schema);
  add_methods(*schema, models().describe());
  add_model_options(*schema);
  add_methods(*schema, algorithms().describe());
  add_client_options(*schema);
  add_place_options(*schema);
  add_server_options(*schema);
  add_methods(*schema, up_compressors().describe());
  add_methods(*schema, down_compressors().describe());
  add_methods(*schema, clippers().describe());
  add_methods(*schema, privacy_mechanisms().describe());
  add_device_options(*schema);
  return schema;
}

void resolve(Options& options) {
  const std::unique_ptr<Algorithm> algorithm = algorithms().make(options);
  algorithm->preset(options);
  if (options.given("cohort.size") && options.integer("cohort.size") > 0 &&
      options.given("cohort.fraction")) {
    refuse("cohort.size = " + std::to_string(options.integer("cohort.size")) +
           ": cohort.fraction is given too; give one of them");
  }
  if (options.integer("cohort.size") > options.integer("data.clients")) {
    refuse("cohort.size = " + std::to_string(options.integer("cohort.size")) +
           ": expected at most data.clients = " + std::to_string(options.integer("data.clients")));
  }
  if (options.integer("client.id") >= options.integer("data.clients")) {
    refuse("client.id = " + std::to_string(options.integer("client.id")) +
           ": expected less than data.clients = " + std::to_string(options.integer("data.clients")));
  }
  if (algorithm->keeps_client_state() && options.real("cohort.deadline_s") > 0) {
    refuse("cohort.deadline_s = " + options.raw("cohort.deadline_s") + ": algorithm.name = " +
           options.text("algorithm.name") + " needs every client in every round; leave the deadline out");
  }
  if (options.flag("run.resume") && options.flag("run.overwrite")) {
    refuse("run.resume = true: run.overwrite is given too; a run is either resumed or replaced");
  }
}

}  // namespace gossamer
