#include "cli/federation.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "cli/configuration.h"
#include "cli/peers.h"
#include "cli/plot.h"
#include "client/datasets/data_options.h"
#include "client/trainers/clipped_gradients.h"
#include "client/trainers/trainer.h"
#include "comms/frame.h"
#include "comms/topologies/topology.h"
#include "compression/compressor.h"
#include "compression/model_codec.h"
#include "core/error.h"
#include "core/logging.h"
#include "privacy/privacy_plan.h"
#include "server/edge_aggregator.h"
#include "server/peer_coordinator.h"
#include "simulation/device_model.h"

namespace gossamer {
namespace {

// On average; of endlessly many clients, over the first ones.
double examples_a_client(const FederatedData& data) {
  const ClientId counted = std::min<std::int64_t>(data.clients(), 100'000);
  double examples = 0;
  for (ClientId client = 0; client < counted; ++client)
    examples += static_cast<double>(data.examples(client));
  return examples / static_cast<double>(counted);
}

// privacy.placement = example: whether single examples' gradients are to be had, before anything starts.
void check_example_gradients(const Options& options, Model& model) {
  if (privacy_plan(options).placement != Placement::example) return;
  const char* const key = options.text("model.file").empty() ? "model.name" : "model.file";
  const std::string chosen = std::string(key) + " = " + options.text(key) + ": ";
  try {
    if (make_clipped_gradients(model)->one_by_one())
      log_warning(chosen + "its gradients are taken example by example, many times slower than a plain step");
  } catch (const ConfigError& error) {
    throw ConfigError(chosen + error.what());
  }
}

// Beyond the floats themselves: room for what a compressor may add to a small model.
constexpr std::uint64_t kPayloadSlack = 1 << 16;

void print_outcome(const RunSummary& summary, const RunFolder& folder) {
  std::cout << "done: " << summary.rounds << " rounds in " << readable_seconds(summary.wall_s);
  if (summary.final_test_accuracy) {
    std::cout << ", test accuracy " << std::lround(*summary.final_test_accuracy * 10000) / 100.0 << "%";
  }
  std::cout << ", " << readable_bytes(static_cast<double>(summary.bytes_up)) << " up, "
            << readable_bytes(static_cast<double>(summary.bytes_down))
            << " down\nresults: " << folder.path().string()
            << "/ (curve.svg, metrics.jsonl, summary.json, model.pt)\n";
}

// What a model, and a client's update, take with their headers.
struct FrameBytes {
  std::size_t whole = 0;  // a model for who has none
  std::size_t down = 0;   // for who has the one before
  std::size_t up = 0;
  bool down_known = true, known = true;  // otherwise at most so many down, and up
};

FrameBytes frame_bytes(const Options& options, const ParameterLayout& layout) {
  const ShardPlan plan(layout, options.integer("server.shards"));
  FrameBytes bytes;
  const auto add = [&](const CompressorRegistry& registry, std::size_t& sum, bool& known) {
    const auto compressors = one_a_shard(registry, options, plan);
    for (std::size_t s = 0; s < plan.shards(); ++s) {
      const auto payload = compressors[s]->payload_bytes();
      known = known && payload;
      sum += kFrameHeaderBytes + payload.value_or(plan.range(s).size * sizeof(float));
    }
  };
  add(down_compressors(), bytes.down, bytes.down_known);
  add(up_compressors(), bytes.up, bytes.known);
  bytes.whole = sends_differences(options) ? plan.shards() * kFrameHeaderBytes + plan.floats() * sizeof(float)
                                           : bytes.down;
  return bytes;
}

// Of the bytes down that were counted, what to think of them.
void print_down(const Options& options, const FrameBytes& frames, std::uint64_t down) {
  std::cout << "# bytes_down " << (frames.down_known ? "" : "at most ") << down;
  if (sends_differences(options))
    std::cout << " where all have the model before (a difference: " << frames.down
              << " bytes, the model as it is: " << frames.whole << ")";
}

// What all clients together keep from round to round, when each has taken part: the algorithm a model of
// each, and what compression keeps.
double client_states_mb(const Options& options, const ParameterLayout& layout) {
  std::size_t floats = up_compressors().make(options, layout)->state_floats();
  if (algorithms().make(options)->keeps_client_state()) floats += layout.size();
  return static_cast<double>(floats * sizeof(float)) * 1e-6 *
         static_cast<double>(options.integer("data.clients"));
}

void print_states(double states_mb, std::uint64_t budget) {
  if (states_mb == 0 || budget == ClientStates::kNoLimit) return;
  const double in_memory = std::min(states_mb, static_cast<double>(budget) * 1e-6);
  std::cout << "# clients' states: up to " << std::llround(states_mb) << " MB, of which up to "
            << std::llround(states_mb - in_memory) << " MB in a file (run.client_state_mb)\n";
}

// One frame down and one up for each of so many below one server, at most.
Seconds exchange_seconds(const DeviceModel& devices, const FrameBytes& frames, std::int64_t clients) {
  const double both = static_cast<double>(frames.whole + frames.up);
  const Seconds lines =
      devices.server_rate() > 0 ? static_cast<double>(clients) * both / devices.server_rate() : 0;
  return devices.download_seconds(frames.whole, 0, 1) + devices.upload_seconds(frames.up, 0, 1) + lines;
}

void print_tree_plan(const Options& options, const TreePlan& plan, const ParameterLayout& layout,
                     Seconds training, const DeviceModel& devices) {
  const std::size_t floats = layout.size();
  const FrameBytes of_clients = frame_bytes(options, layout);
  FrameBytes of_aggregators = of_clients;
  of_aggregators.up = kFrameHeaderBytes + floats * sizeof(float) + sizeof(SubtreeReport);
  const auto rounds = static_cast<std::uint64_t>(options.integer("topology.tree.rounds"));
  const double fraction = options.real("cohort.fraction");
  std::cout << options.to_ini() << "# a round: " << plan.clients() << " clients, " << plan.aggregators()
            << " aggregators, " << floats << " floats a model\n";
  std::uint64_t down = 0, up = 0;
  const auto count = [&](const TreeNode& node, std::uint64_t asks) {
    std::int64_t asked = node.children;
    if (node.over_clients)
      asked = std::clamp<std::int64_t>(std::llround(fraction * static_cast<double>(asked)), 1, asked);
    const std::uint64_t frames = asks * static_cast<std::uint64_t>(asked);
    down += frames * of_clients.down;
    up += frames * (node.over_clients ? of_clients : of_aggregators).up;
  };
  count(plan.root(), 1);
  for (std::int64_t j = 0; j < plan.aggregators(); ++j) {
    const TreeNode& node = plan.aggregator(j);
    std::uint64_t asks = 1;
    for (std::int64_t level = 0; level < node.level; ++level) asks *= rounds;
    count(node, asks);
    std::cout << "# aggregator " << j << ": below "
              << (node.level == 1 ? "the root" : "aggregator " + std::to_string(node.parent - plan.clients()))
              << ", above " << (node.over_clients ? "clients " : "aggregators ")
              << node.first_child - (node.over_clients ? 0 : plan.clients()) << " to "
              << node.first_child + node.children - 1 - (node.over_clients ? 0 : plan.clients()) << ", "
              << tree_sync_mode(options, plan, node) << '\n';
  }
  Seconds round = training;
  const DeviceModel upper = devices.of_upper_links();
  const TreeNode* node = &plan.aggregator(plan.aggregators() - 1);
  for (;; node = &plan.node(node->parent)) {
    round = round * (node->over_clients ? 1.0 : static_cast<double>(rounds)) +
            exchange_seconds(node->over_clients ? devices : upper,
                             node->over_clients ? of_clients : of_aggregators, node->children);
    if (node->level == 0) break;
  }
  print_down(options, of_clients, down);
  std::cout << ", bytes_up "
            << (options.text("topology.tree.filter") == "none" && of_clients.known ? "" : "at most ") << up
            << '\n'
            << "# virtual time at most " << round << " s, with bsp on every level\n";
}

// What a user of [privacy] has to know before anything is spent.
void announce_privacy(const Options& options, const FederatedData& data, const ParameterLayout& layout) {
  const PrivacyPlan plan = privacy_plan(options);
  if (!plan.is_private()) return;
  const auto clients = options.integer("data.clients");
  std::int64_t records = clients;
  if (plan.placement == Placement::example) {
    records = 0;
    for (ClientId client = 0; client < clients; ++client) records = std::max(records, data.examples(client));
  }
  if (plan.delta * static_cast<double>(records) >= 1)
    log_warning("privacy.delta = " + options.raw("privacy.delta") + ": not below 1 / " +
                std::to_string(records) + (plan.placement == Placement::example ? " examples" : " clients") +
                ", so that publishing one of them whole would count as private; give less");
  if (plan.noise_multiplier == 0) log_warning("privacy.noise_multiplier = 0: no noise, so no privacy");
  if (layout.size() > layout.parameter_count() && plan.placement != Placement::example)
    log_warning(
        "model.name = " + options.text("model.name") +
        ": its statistics (batch norm) stay with the clients, and are what they were in the model that "
        "is evaluated and saved");
  if (plan.insecure_seed) {
    const bool terminal = ::isatty(STDERR_FILENO) == 1;
    log_warning(std::string(terminal ? "\x1b[31m" : "") +
                "privacy.insecure_seed: whoever knows the seed takes the noise off again. This run protects "
                "nobody" +
                (terminal ? "\x1b[0m" : ""));
  }
}

}  // namespace

Federation::Federation(const CommandLine& line) : options(line.options), verbosity(line.verbosity) {
  at::set_num_threads(1);
  data = make_dataset(options);
  resolve(options,
          line.command == "simulate"                             ? RunsIn::simulation
          : line.command == "train"                              ? RunsIn::mpi
          : line.command == "server" || line.command == "client" ? RunsIn::zmq
                                                                 : RunsIn::anywhere,
          examples_a_client(*data));
  model = make_model(options, data->shape());
  check_example_gradients(options, *model);
  announce_privacy(options, *data, *model->layout());
  auto values = std::make_shared<Parameters>();
  values->layout = model->layout();
  values->values.assign(model->values().begin(), model->values().end());
  initial = std::move(values);
}

int run_federation(Federation& federation, VersionedModel& subject, RunFolder folder, Place place) {
  ProgressPrinter progress(std::cout, progress_style(federation.verbosity),
                           federation.options.integer("run.rounds"));
  if (are_peers(federation.options)) progress.between_peers();
  RunKeeper keeper(federation.options, std::move(folder), place.clock, progress);
  const std::optional<CheckpointReader> checkpoint = keeper.resume(subject);
  if (checkpoint && place.restore_clients) place.restore_clients(*checkpoint);
  place.services.save_model = [&](const Parameters& version, const std::filesystem::path& path) {
    save_model(*federation.model, version, path);
  };
  keeper.set_services(std::move(place.services));

  std::string stopped_by;
  std::exception_ptr failure;
  try {
    stopped_by = place.drive(keeper, [&] { return federation.stop.requested(); });
  } catch (const RunError& error) {
    // What was trained so far is kept, and the reason goes into the summary too.
    failure = std::current_exception();
    stopped_by = error.what();
  }
  RunSummary summary;
  try {
    summary = keeper.finish(subject, stopped_by);
    draw_curve(keeper.folder());
  } catch (const Error&) {
    if (!failure) throw;  // else the first one says more
  }
  if (failure) std::rethrow_exception(failure);
  if (federation.verbosity >= 0) print_outcome(summary, keeper.folder());
  return 0;
}

void save_model(Model& model, const Parameters& version, const std::filesystem::path& path) {
  std::ranges::copy(version.values, model.values().begin());
  model.save(path.string());
}

std::uint64_t max_payload_bytes(const Federation& federation) {
  // With every float sent by its index, too: two bits a float at most (compression/sparse_indices.h). Peers
  // show more than their models.
  const std::uint64_t floats = federation.initial->values.size();
  const bool shows_more = are_peers(federation.options) && peers_show_more(federation.options);
  return (shows_more ? kMostPeerVectors : 1) * floats * sizeof(float) + floats / 4 + kPayloadSlack;
}

int print_plan(const Federation& federation, std::uint64_t state_budget) {
  const Options& options = federation.options;
  const DeviceModel devices(options);
  const std::int64_t clients = options.integer("data.clients");
  const std::int64_t cohort = cohort_size(options);
  const std::size_t floats = federation.initial->values.size();
  Seconds slowest = 0;
  for (ClientId client = 0; client < std::min<ClientId>(clients, 1000); ++client) {
    slowest = std::max(slowest, devices.training_seconds(federation.data->examples(client), client, 1));
  }
  if (are_peers(options)) {
    const PeerPlan plan = plan_of_peers(options, *federation.model);
    std::cout << options.to_ini() << "# a round: " << clients << " peers, " << floats << " floats a model\n"
              << "# bytes_up " << (plan.known ? "" : "at most ") << plan.bytes << ", bytes_down "
              << (plan.known ? "" : "at most ") << plan.bytes << '\n'
              << (plan.form.empty() ? "" : "# compressed sums: " + plan.form + '\n')
              << "# virtual time about " << slowest + plan.exchange << " s\n"
              << "# memory: a model, an update and what comes in from neighbours for each peer of a process"
              << (sends_differences(options) ? ", and a copy of its model and of each neighbour's\n" : "\n");
    return 0;
  }
  if (const auto plan = topologies().make(options)->tree_plan(clients)) {
    print_tree_plan(options, *plan, *federation.initial->layout, slowest, devices);
    print_states(client_states_mb(options, *federation.initial->layout), state_budget);
    return 0;
  }
  const FrameBytes frames = frame_bytes(options, *federation.initial->layout);
  const Seconds round = slowest + exchange_seconds(devices, frames, cohort);
  const double states = client_states_mb(options, *federation.initial->layout);
  const double models = static_cast<double>(floats * sizeof(float)) * 1e-6 *
                        static_cast<double>(cohort + (sends_differences(options) ? 8 : 4));
  std::cout << options.to_ini() << "# a round: " << cohort << " of " << clients << " clients, " << floats
            << " floats a model\n";
  print_down(options, frames, frames.down * static_cast<std::size_t>(cohort));
  std::cout << ", bytes_up " << (frames.known ? "" : "at most ")
            << frames.up * static_cast<std::size_t>(cohort) << '\n'
            << "# virtual time at most " << round << " s\n"
            << "# memory: about "
            << std::llround(models + std::min(states, static_cast<double>(state_budget) * 1e-6))
            << " MB of models and updates at most\n";
  print_states(states, state_budget);
  return 0;
}

}  // namespace gossamer
