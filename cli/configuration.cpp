#include "cli/configuration.h"

#include "client/datasets/data_options.h"
#include "client/datasets/dataset.h"
#include "client/datasets/partition.h"
#include "client/device.h"
#include "client/models/model_options.h"
#include "client/models/models.h"
#include "client/optimizers/client_optimizer.h"
#include "client/trainers/client_options.h"
#include "client/trainers/methods.h"
#include "client/trainers/trainer.h"
#include "comms/topologies/topology.h"
#include "compression/compressor.h"
#include "compression/model_codec.h"
#include "privacy/clipper.h"
#include "privacy/mechanism.h"
#include "privacy/privacy_plan.h"
#include "server/aggregators/aggregator.h"
#include "server/cohort/cohort_sampler.h"
#include "server/coordinator.h"
#include "server/edge_aggregator.h"
#include "server/filters/update_filter.h"
#include "server/optimizers/server_optimizer.h"
#include "server/run_privacy.h"
#include "server/server_options.h"
#include "server/sharded_coordinator.h"
#include "server/staleness/correction.h"
#include "server/staleness/staleness_weight.h"
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
  add_device_option(schema);
  schema.add(real_option("run.client_state_mb", 4000,
                         "in a simulation, the most memory for what clients keep between rounds, in 10^6 "
                         "bytes; what is beyond lies in a file in the run's folder; 0: no limit")
                 .at_least(0));
  schema.add(flag_option("run.overwrite", false, "replace what is in run.out"));
  schema.add(flag_option("run.resume", false, "go on from the newest checkpoint in run.out"));
}

void add_place_options(OptionSchema& schema) {
  schema.add(
      integer_option("client.id", -1, "this client's id, 0 .. data.clients - 1; -1: the server gives one")
          .at_least(-1));
  schema.add(
      integer_option(
          "server.id", -1,
          "which aggregator of a tree `gossamer server` is, level by level, or which of server.shards; -1: "
          "the root, or the first")
          .at_least(-1));
  schema.add(text_option("client.listen", "tcp://127.0.0.1:*",
                         "over ZeroMQ, where a peer is reached by the others (port *: a free one)"));
  schema.add(text_option(
      "client.state_dir", "",
      "a folder for what this process's clients keep from round to round (residuals, their "
      "algorithm's states), written after each round, from which they go on when they are "
      "started again; empty: in memory, and in lockstep in the coordinator's checkpoints; not for "
      "simulations and peers, whose checkpoints have all of it"));
  schema.add(real_option("client.server_timeout_s", 60, "silence after which a client gives its server up")
                 .above(0));
  schema.add(
      flag_option("train.coordinator_trains", true, "under mpirun: rank 0 coordinates and trains too"));
  schema.add(flag_option(
      "train.aggregator_ranks", false,
      "under mpirun, topology.name = tree: rank 0 is the root, the next ranks an aggregator each, "
      "and clients live on the others; otherwise all aggregators live on rank 0"));
  schema.add(flag_option("security.insecure", false, "let the server bind beyond loopback, without keys"));
}

void refuse(const std::string& what) { throw ConfigError(what); }

// Keys that only work where somebody stands above the participants.
void check_no_server(Options& options, const std::string& chosen) {
  options.preset("server.optimizer", "sgd", chosen);
  options.preset("server.lr", "1", chosen);
  options.preset("server.aggregator", "mean", chosen);
  const auto refuse_above = [&](const char* key, double most) {
    if (options.given(key) && options.real(key) > most)
      refuse(std::string(key) + " = " + options.raw(key) + ": " + chosen +
             " has no server that could go on without a peer; leave it out, or use topology.name = "
             "parameter_server");
  };
  refuse_above("cohort.deadline_s", 0);
  refuse_above("devices.dropout", 0);
  if (options.text("sync.mode") == "bsp" && options.integer("sync.backup_workers") > 0)
    refuse("sync.backup_workers = " + options.raw("sync.backup_workers") + ": " + chosen +
           " waits for every peer; use topology.name = parameter_server");
  if (options.real("devices.straggler_slowdown") <= 1 && options.text("algorithm.name") != "fedprox")
    refuse_above("devices.straggler_fraction", 0);
  for (const char* key : {"sync.staleness_weight", "sync.correction"}) {
    if (options.text(key) != "constant" && options.text(key) != "none")
      refuse(std::string(key) + " = " + options.text(key) + ": " + chosen +
             " has no server that could weigh old updates; use topology.name = parameter_server");
  }
}

// Differences between models need receivers that hold one and the same.
void check_differences(const Options& options, const Topology& topology) {
  check_down_form(options);
  if (!sends_differences(options)) {
    if (options.given("topology.gossip.consensus_step"))
      refuse("topology.gossip.consensus_step = " + options.raw("topology.gossip.consensus_step") +
             ": it is for models whose differences travel; use compression.down_form = difference, or leave "
             "it out");
    return;
  }
  const std::string chosen =
      "compression.down = " + options.text("compression.down") + ": sends differences between models, ";
  const std::string whole =
      "; use compression.down = fp16, bf16 or int8 with compression.down_form = model, or ";
  if (options.text("sync.mode") != "bsp")
    refuse(chosen + "and with sync.mode = " + options.text("sync.mode") +
           " each client holds a version of its own" + whole + "sync.mode = bsp");
  if (topology.kind() == TopologyKind::gossip && options.text("topology.gossip.method") != "d_psgd")
    refuse(chosen + "and with topology.gossip.method = " + options.text("topology.gossip.method") +
           " a peer has other neighbours in each round" + whole + "topology.gossip.method = d_psgd");
  if (options.text("sync.late") == "finish")
    refuse(chosen + "and with sync.late = finish a client would hold two of them" + whole +
           "sync.late = cancel");
  const auto tree = topology.tree_plan(options.integer("data.clients"));
  for (std::int64_t j = 0; tree && j < tree->aggregators(); ++j) {
    const std::string mode = tree_sync_mode(options, *tree, tree->aggregator(j));
    if (mode != "bsp")
      refuse(chosen + "and with topology.tree.sync = " + mode + " each child holds a version of its own" +
             whole + "topology.tree.sync = bsp");
  }
  if (tree && options.flag("run.resume"))
    refuse(
        chosen +
        "and topology.name = tree goes on from a checkpoint without that only: what aggregators keep is not "
        "saved; leave run.resume out");
}

// A method for each way, and what each needs.
// compression.up = auto: a server tells all of a round's updates by which method to travel.
void check_choice(const Options& options) {
  const std::string chosen = "compression.up = auto";
  const auto refuse_unless = [&](const char* key, const std::string& wanted, const char* why) {
    if (options.raw(key) != wanted)
      refuse(chosen + ": " + key + " = " + options.raw(key) + ": " + why + "; use " + key + " = " + wanted);
  };
  refuse_unless("topology.name", "parameter_server", "there is no one server that times rounds and chooses");
  refuse_unless("sync.mode", "bsp", "rounds in lockstep are what is timed");
  refuse_unless("server.shards", "1", "an update's parts would be timed together");
  refuse_unless("sync.local_steps", "configured", "rounds of as many steps are what is compared");
  if (options.text("compression.error_feedback") == "off")
    refuse("compression.error_feedback = off: " + chosen + " goes from method to method by their residual");
  if (options.text("compression.momentum_correction") == "on")
    refuse("compression.momentum_correction = on: " + chosen + " keeps a residual and nothing else");
}

void check_compression(const Options& options, const Topology& topology) {
  if (options.text("compression.up") == "auto") check_choice(options);
  const std::string where = "topology.name = " + options.text("topology.name");
  const auto refuse_way = [&](const char* way, const std::string& why) {
    if (options.text(way) != "none") refuse(std::string(way) + " = " + options.text(way) + ": " + why);
  };
  const bool sums = topology.kind() == TopologyKind::all_reduce;
  if (options.text("compression.all_reduce") != "auto" && !sums)
    refuse("compression.all_reduce = " + options.text("compression.all_reduce") + ": " + where +
           " sums nothing among peers; use topology.name = ring or all_to_all");
  if (sums) {
    refuse_way("compression.down", where + " sends updates only; use compression.up");
    const auto peers = static_cast<int>(options.integer("data.clients"));
    const std::string& form = options.text("compression.all_reduce");
    const bool by_chunks = form == "reduce_scatter" || form == "shared_scaler";
    if (by_chunks && topology.all_reduce_routes(0, peers).back().chunks == 1)
      refuse("compression.all_reduce = " + form + ": " + where +
             " passes no chunks around; use gather, or topology.name = ring");
    if (form == "shared_scaler" && options.text("compression.up") != "terngrad")
      refuse("compression.all_reduce = shared_scaler: only compression.up = terngrad has a scaler to share");
    if (form == "shared_scaler" && keeps_state(options))
      refuse(
          "compression.all_reduce = shared_scaler: what is sent follows from all peers' updates, and leaves "
          "no residual or velocity with one of them; use gather, or leave compression.error_feedback and "
          "compression.momentum_correction as they are");
  } else if (topology.kind() == TopologyKind::library_all_reduce) {
    for (const char* const way : {"compression.up", "compression.down"})
      refuse_way(way, where + " has MPI sum 32-bit floats; use topology.name = ring");
  } else if (topology.kind() == TopologyKind::gossip) {
    refuse_way("compression.up", where + " sends models; use compression.down");
  }
  check_differences(options, topology);
  if (keeps_state(options) && options.text("sync.late") == "finish")
    refuse(
        "sync.late = finish: a client that is late would be at two rounds of work, and what compression.up "
        "= " +
        options.text("compression.up") +
        " leaves out of the first belongs into the second; use sync.late = cancel, or a method without "
        "memory: compression.error_feedback = off");
}

// What privacy.placement = central asks of the rest: one server that sees every update, in rounds.
void check_central(Options& options, const Topology& topology) {
  const std::string chosen = "privacy.placement = central";
  if (topology.kind() != TopologyKind::server || options.text("topology.name") == "tree")
    refuse("topology.name = " + options.text("topology.name") + ": with " + chosen +
           " one server bounds every update and adds the noise; use topology.name = parameter_server, or "
           "privacy.placement = client");
  if (options.text("sync.mode") != "bsp")
    refuse("sync.mode = " + options.text("sync.mode") + ": with " + chosen +
           " a client counts once in each noisy sum, which rounds in lockstep make sure of; use sync.mode = "
           "bsp, or privacy.placement = client");
  if (options.integer("server.shards") > 1)
    refuse("server.shards = " + options.raw("server.shards") + ": with " + chosen +
           " the server needs an update's whole norm; use server.shards = 1");
  if (options.text("server.aggregator") != "mean")
    refuse("server.aggregator = " + options.text("server.aggregator") + ": with " + chosen +
           " the noise is for a sum; use server.aggregator = mean");
  if (options.integer("cohort.min_size") > 1)
    refuse("cohort.min_size = " + options.raw("cohort.min_size") + ": with " + chosen +
           " whether a round had so many would be told without noise; leave it out");
  if (options.text("compression.up") == "auto")
    refuse("compression.up = auto: with " + chosen +
           " what it measures on updates would be told without noise; choose a method");
  options.preset("server.weighting", "uniform", chosen);
}

// Releases of a round are counted, so everybody's have to be known.
void check_countable(const Options& options, const Topology& topology) {
  const std::string chosen = "privacy.placement = " + options.text("privacy.placement");
  if (topology.kind() != TopologyKind::server && options.text("sync.mode") != "bsp")
    refuse(
        "sync.mode = " + options.text("sync.mode") + ": with " + chosen +
        " and peers that go at their own pace nobody counts what each has released; use sync.mode = bsp, or "
        "topology.name = parameter_server");
  std::unique_ptr<TreePlan> tree;
  if (topology.kind() == TopologyKind::server) tree = topology.tree_plan(options.integer("data.clients"));
  bool lockstep = options.text("sync.mode") == "bsp";
  for (std::int64_t j = 0; tree && j < tree->aggregators(); ++j)
    lockstep = lockstep && tree_sync_mode(options, *tree, tree->aggregator(j)) == "bsp";
  if (tree && !lockstep)
    refuse(
        "topology.name = tree: with " + chosen +
        " the rounds of a client below it are counted, which needs sync.mode = bsp and topology.tree.sync = "
        "bsp");
}

// Each client by itself, so a cohort's size varies.
void check_poisson_cohorts(const Options& options) {
  if (options.text("cohort.sampler") != "poisson") return;
  const std::string chosen = "cohort.sampler = poisson";
  if (options.text("topology.name") != "parameter_server" || options.text("sync.mode") != "bsp")
    refuse(chosen +
           ": draws the cohorts of rounds in lockstep; use topology.name = parameter_server and "
           "sync.mode = bsp, or cohort.sampler = uniform");
  if (options.integer("sync.backup_workers") > 0)
    refuse("sync.backup_workers = " + options.raw("sync.backup_workers") + ": with " + chosen +
           " everybody who was drawn counts; use cohort.sampler = uniform");
}

void check_privacy(Options& options, const Topology& topology, const Algorithm& algorithm,
                   double examples_a_client) {
  if (options.text("privacy.mechanism") != "none") {
    const std::string chosen = "privacy.placement = " + options.text("privacy.placement");
    if (options.text("privacy.placement") == "central") check_central(options, topology);
    check_countable(options, topology);
    if (algorithm.reports_on_tau() || options.text("sync.local_steps") == "adaptive")
      refuse("sync.local_steps = adaptive: clients would report gradients without noise, with " + chosen +
             "; use sync.local_steps = configured");
    if (algorithm.exchanges_gradients())
      refuse("algorithm.name = " + options.text("algorithm.name") +
             ": peers exchange gradients inside their steps, without noise; with " + chosen +
             " use algorithm.name = local_sgd");
    // An exact number of examples does not leave its client.
    options.preset("server.weighting", "uniform", chosen);
  }
  settle_lots(options, examples_a_client);
  settle_privacy(options, options.text("privacy.mechanism") == "none" ? 0 : counting_plan(options).planned);
}

// What is there for run.device = cuda.
void check_device(const Options& options, const Algorithm& algorithm) {
  if (options.text("run.device") == "cpu") return;
  const std::string chosen = "run.device = " + options.text("run.device");
  if (!algorithm.trains_on_device())
    refuse("algorithm.name = " + options.text("algorithm.name") + ": trains on the processor only; with " +
           chosen + " use fedavg, fedsgd, local_sgd, fedasync or fedbuff");
  if (options.text("client.optimizer") != "sgd")
    refuse("client.optimizer = " + options.text("client.optimizer") + ": with " + chosen +
           " clients make steps of SGD; use client.optimizer = sgd");
  if (options.text("privacy.placement") == "example" && options.text("privacy.mechanism") != "none")
    refuse(
        "privacy.placement = example: single examples' gradients are clipped on the processor; use "
        "run.device = cpu");
  if (!options.text("model.file").empty())
    refuse("model.file = " + options.text("model.file") +
           ": a module's constants lie where it was made; with " + chosen + " use model.name");
}

// What peers ask of the rest of the configuration.
void check_peers(Options& options, const Topology& topology) {
  const std::string chosen = "topology.name = " + options.text("topology.name");
  const std::int64_t clients = options.integer("data.clients");
  constexpr std::int64_t kMostPeers = 65'536;
  if (clients > kMostPeers)
    refuse("data.clients = " + std::to_string(clients) + ": with " + chosen +
           " each has a model of its own; expected at most " + std::to_string(kMostPeers));
  preset_whole_cohort(options, chosen);
  check_no_server(options, chosen);
  static_cast<void>(topology.all_reduce_routes(0, static_cast<int>(clients)));  // throws where they cannot
  if (topology.kind() != TopologyKind::gossip) return;
  options.preset("server.weighting", "uniform", chosen);
  const bool lockstep = options.text("sync.mode") == "bsp";
  const std::string method = "topology.gossip.method = " + options.text("topology.gossip.method");
  if (lockstep && options.text("topology.gossip.method") == "go_sgd")
    refuse(method +
           ": sends when it likes, which sync.mode = bsp does not allow; use sync.mode = async, or "
           "topology.gossip.method = d_psgd");
  if (!lockstep && options.text("topology.gossip.method") == "d_psgd")
    refuse(method + ": mixes in lockstep; use sync.mode = bsp, or topology.gossip.method = pairwise");
  if (!lockstep && options.flag("topology.gossip.overlap"))
    refuse(
        "topology.gossip.overlap = true: sync.mode = async has no rounds in which everybody exchanges; use "
        "sync.mode = bsp");
  if (lockstep && options.real("topology.gossip.probability") < 1)
    refuse("topology.gossip.probability = " + options.raw("topology.gossip.probability") +
           ": in lockstep peers exchange in every round; use sync.mode = async");
  static_cast<void>(topology.gossip_plan(static_cast<int>(clients)));  // throws where they cannot
}

// What a tree asks of the rest of the configuration.
void check_tree(const Options& options, const TreePlan& plan) {
  const std::string chosen = "topology.name = tree";
  const auto refuse_given = [&](const char* key, bool given, const std::string& why) {
    if (given) refuse(std::string(key) + " = " + options.raw(key) + ": " + chosen + ' ' + why);
  };
  refuse_given("cohort.size", options.integer("cohort.size") > 0,
               "draws a cohort at each of the lowest aggregators; use cohort.fraction");
  refuse_given("cohort.deadline_s", options.real("cohort.deadline_s") > 0,
               "has rounds on several levels, and no deadline for them; leave it out");
  refuse_given("sync.backup_workers", options.integer("sync.backup_workers") > 0,
               "starts all its aggregators in every round; use topology.name = parameter_server");
  refuse_given("server.id", options.integer("server.id") >= plan.aggregators(),
               "has " + std::to_string(plan.aggregators()) + " aggregators here; expected less than that");
  bool lockstep = options.text("sync.mode") == "bsp";
  for (std::int64_t j = 0; j < plan.aggregators(); ++j)
    lockstep = tree_sync_mode(options, plan, plan.aggregator(j)) == "bsp" && lockstep;
  refuse_given("run.resume",
               options.flag("run.resume") && (!lockstep || options.text("topology.tree.filter") != "none"),
               "goes on from a checkpoint with sync.mode = bsp and topology.tree.sync = bsp, without "
               "topology.tree.filter, only: what aggregators keep is not saved");
}

// What a server in several shards asks of the rest of the configuration.
void check_shards(const Options& options, const Algorithm& algorithm) {
  const std::int64_t shards = options.integer("server.shards");
  const std::string chosen = "server.shards = " + std::to_string(shards);
  const std::string topology = options.text("topology.name");
  if (options.integer("server.id") >= 0 && shards == 1 && topology != "tree") {
    refuse(
        "server.id = " + options.raw("server.id") +
        ": only used with topology.name = tree, or server.shards above 1; here topology.name = " + topology);
  }
  if (shards == 1) return;
  if (topology != "parameter_server")
    refuse(chosen + ": topology.name = " + topology +
           (topology == "tree" ? " divides the clients among aggregators, not the model"
                               : " has no server whose model could be divided") +
           "; use topology.name = parameter_server");
  if (options.integer("server.id") >= shards)
    refuse("server.id = " + options.raw("server.id") + ": expected less than " + chosen);
  if (algorithm.reports_on_tau())
    refuse(chosen + ": algorithm.name = " + options.text("algorithm.name") +
           " goes back to an earlier model, which only a single server keeps; use server.shards = 1");
  check_elementwise(options);
}

// How many the server has at work at a time: clients, or in a tree the root's children.
std::int64_t at_work(const Options& options, const TreePlan* tree) {
  return tree != nullptr ? tree->root().children : cohort_size(options);
}

// What the sync modes ask of the rest of the configuration.
void check_sync(Options& options, const Algorithm& algorithm, const TreePlan* tree) {
  const std::string mode = options.text("sync.mode");
  const auto policy = sync_policies().make(options);
  const std::string chosen = "sync.mode = " + mode;
  if (options.text("sync.local_steps") == "adaptive" && !algorithm.reports_on_tau())
    refuse("sync.local_steps = adaptive: algorithm.name = " + options.text("algorithm.name") +
           " does not report what the server would choose by; use algorithm.name = adaptive_tau");
  if (policy->lockstep()) {
    for (const char* key : {"sync.staleness_weight", "sync.correction"}) {
      if (options.given(key) && options.text(key) != "constant" && options.text(key) != "none")
        refuse(std::string(key) + " = " + options.text(key) + ": " + chosen +
               " has no stale updates; use sync.mode = async or buffered");
    }
    if (policy->backups() > 0 && cohort_size(options) + policy->backups() > options.integer("data.clients"))
      refuse("sync.backup_workers = " + std::to_string(policy->backups()) + ": a cohort of " +
             std::to_string(cohort_size(options)) + " and its backups are more than data.clients = " +
             options.raw("data.clients") + "; give a smaller cohort.size");
    if (algorithm.keeps_client_state() && policy->backups() > 0)
      refuse("sync.backup_workers = " + std::to_string(policy->backups()) +
             ": algorithm.name = " + options.text("algorithm.name") + " needs every client in every round");
    return;
  }
  const bool on_request = options.text("sync.pull") == "on_request";
  if (on_request && !algorithm.exchanges_on_request())
    refuse("sync.pull = on_request: algorithm.name = " + options.text("algorithm.name") +
           " trains the model that it is sent; easgd and eamsgd exchange on request");
  if (algorithm.keeps_client_state() && !on_request)
    refuse(chosen + ": algorithm.name = " + options.text("algorithm.name") +
           " keeps a model on every client and works with sync.mode = bsp" +
           (algorithm.exchanges_on_request() ? " or async" : " only"));
  if (options.real("cohort.deadline_s") > 0)
    refuse("cohort.deadline_s = " + options.raw("cohort.deadline_s") + ": " + chosen +
           " has no rounds in lockstep that a deadline could end");
  // An update counts 1 here: the cohort whose examples it would be measured by does not exist.
  options.preset("server.weighting", "uniform", chosen);
  if (policy->everybody_works()) {
    preset_whole_cohort(options, chosen);
    for (const char* key : {"sync.staleness_weight", "sync.correction"}) {
      if (options.text(key) != "constant" && options.text(key) != "none")
        refuse(std::string(key) + " = " + options.text(key) + ": " + chosen +
               " bounds staleness in place of weighing it; use sync.mode = async or buffered");
    }
    return;
  }
  // A round is one model version here, so as many as the cohort's are one round's work.
  if (mode == "async") {
    const std::int64_t cohort = at_work(options, tree);
    // Whole updates of a cohort at work would add up to many times their mean; mixing has a rate of its own.
    if (options.text("sync.correction") == "none" && options.text("algorithm.name") != "downpour")
      options.set_default("server.lr", std::to_string(1.0 / static_cast<double>(cohort)));
    options.set_default("run.eval_every", std::to_string(cohort));
    options.set_default("run.rounds", std::to_string(options.integer("run.rounds") * cohort));
    options.set_default("server.checkpoint_every",
                        std::to_string(options.integer("server.checkpoint_every") * cohort));
  }
}

}  // namespace

std::vector<MethodGroup> all_methods() {
  return {datasets().describe(),          partitions().describe(),         models().describe(),
          algorithms().describe(),        client_optimizers().describe(),  aggregators().describe(),
          server_optimizers().describe(), cohort_samplers().describe(),    topologies().describe(),
          update_filters().describe(),    sync_policies().describe(),      staleness_weights().describe(),
          corrections().describe(),       up_compressors().describe(),     down_compressors().describe(),
          clippers().describe(),          privacy_mechanisms().describe(), accountants().describe()};
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
  add_methods(*schema, topologies().describe());
  add_methods(*schema, update_filters().describe(), "topology.name", "tree");
  add_server_options(*schema);
  add_compression_options(*schema);
  add_privacy_options(*schema);
  add_device_options(*schema);
  return schema;
}

void resolve(Options& options, RunsIn place, double examples_a_client) {
  // Before presets, which count as given.
  if (options.given("cohort.size") && options.integer("cohort.size") > 0 &&
      options.given("cohort.fraction")) {
    refuse("cohort.size = " + std::to_string(options.integer("cohort.size")) +
           ": cohort.fraction is given too; give one of them");
  }
  const std::unique_ptr<Algorithm> algorithm = algorithms().make(options);
  algorithm->preset(options);
  if (options.text("topology.name") == "gossip" && options.text("sync.mode") == "async")
    options.set_default("topology.gossip.method", "pairwise");
  options.check_methods();
  if (const auto reason = refusal_of_combination(options.text("topology.name"), options.text("sync.mode"),
                                                 options.text("algorithm.name"), place)) {
    refuse(*reason);
  }
  const auto topology = topologies().make(options);
  if (topology->kind() == TopologyKind::server) {
    const auto tree = topology->tree_plan(options.integer("data.clients"));
    if (tree) check_tree(options, *tree);
    check_sync(options, *algorithm, tree.get());
  } else {
    check_peers(options, *topology);
  }
  check_compression(options, *topology);
  if (options.integer("cohort.size") > options.integer("data.clients")) {
    refuse("cohort.size = " + std::to_string(options.integer("cohort.size")) +
           ": expected at most data.clients = " + std::to_string(options.integer("data.clients")));
  }
  if (options.integer("client.id") >= options.integer("data.clients")) {
    refuse("client.id = " + std::to_string(options.integer("client.id")) +
           ": expected less than data.clients = " + std::to_string(options.integer("data.clients")));
  }
  check_shards(options, *algorithm);
  check_poisson_cohorts(options);
  check_privacy(options, *topology, *algorithm, examples_a_client);
  check_device(options, *algorithm);
  if (algorithm->keeps_client_state() && options.real("cohort.deadline_s") > 0) {
    refuse("cohort.deadline_s = " + options.raw("cohort.deadline_s") + ": algorithm.name = " +
           options.text("algorithm.name") + " needs every client in every round; leave the deadline out");
  }
  if (options.flag("run.resume") && options.flag("run.overwrite")) {
    refuse("run.resume = true: run.overwrite is given too; a run is either resumed or replaced");
  }
}

}  // namespace gossamer
