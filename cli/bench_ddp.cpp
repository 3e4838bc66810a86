#include "cli/bench_ddp.h"
#include "core/checksum.h"

#include <mpi.h>
#include <sched.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/bench_job.h"
#include "cli/configuration.h"
#include "client/datasets/example_sets.h"
#include "client/models/models.h"
#include "client/models/native_model.h"
#include "client/trainers/gradient_exchange.h"
#include "client/trainers/local_work.h"
#include "comms/collectives/mpi_link.h"
#include "comms/collectives/paced_link.h"
#include "core/error.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRepeats = 7;
constexpr double kSeconds = 0.5;  // a measurement, about
constexpr std::int64_t kExamples = 640;
constexpr int kSpins = 2000;  // of a rank that waits, before it lets others run

// 784-2048-2048-2048-10: 10,020,874 parameters.
class WideMlp final : public NativeModel {
 public:
  explicit WideMlp(const Options& options) : NativeModel(options) {
    for (std::size_t i = 0; i + 1 < kWidths.size(); ++i)
      layers_.push_back(dense_layer("fc" + std::to_string(i + 1), kWidths[i], kWidths[i + 1]));
    seal();
  }
  at::Tensor forward(const at::Tensor& features) override {
    at::Tensor x = features.view({-1, kWidths[0]});
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      x = at::linear(x, layers_[i].weight, layers_[i].bias);
      if (i + 1 < layers_.size()) x = at::relu(x);
    }
    return x;
  }
  std::vector<StackLayer> layers() const override {
    std::vector<StackLayer> stack;
    for (const Layer& layer : layers_)
      stack.push_back({.weight = layer.weight, .bias = layer.bias, .relu = true});
    stack.back().relu = false;
    return stack;
  }

 private:
  static constexpr std::array<std::int64_t, 5> kWidths{784, 2048, 2048, 2048, 10};
  std::vector<Layer> layers_;
};

std::shared_ptr<const ExampleSet> random_examples() {
  const ExampleShape shape{FeatureKind::pixels, {1, 28, 28}, 1, 10};
  Rng rng(1, Purpose::test);
  PixelBytes pixels;
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < kExamples; ++i) {
    labels.push_back(static_cast<std::int32_t>(rng.below(10)));
    for (std::int64_t j = 0; j < shape.feature_count(); ++j)
      pixels.bytes.push_back(static_cast<std::uint8_t>(rng() >> 24U));
  }
  return std::make_shared<PixelExamples>(shape, std::move(pixels), std::move(labels));
}

// The slowest rank's seconds, from a moment at which all begin. Who is done serves `link`, where others wait.
template <class Work>
double slowest_rank(Link* link, const Work& work) {
  MPI_Barrier(MPI_COMM_WORLD);
  const Clock::time_point start = Clock::now();
  work();
  double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Iallreduce(MPI_IN_PLACE, &seconds, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD, &request);
  for (int done = 0; done == 0;) {
    if (link != nullptr) static_cast<void>(link->settled());
    MPI_Test(&request, &done, MPI_STATUS_IGNORE);
  }
  return seconds;
}

// Sums over the ranks, and what moves them on after the last one.
struct Sums {
  Link* link;  // owned by ...
  std::unique_ptr<AllReduce> all_reduce;
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

// A model and its examples on this rank, and the links to the others.
class Stepper {
 public:
  Stepper(MpiSession& session, const Options& options, std::unique_ptr<Model> model)
      : session_(session),
        ring_(topologies().make(options)),
        batch_size_(options.integer("client.batch_size")),
        work_(options, std::move(model)),
        initial_(work_.weights().begin(), work_.weights().end()) {
    task_.examples = random_examples();
  }

  std::size_t parameters() { return work_.model().layout()->parameter_count(); }

  double alone(std::int64_t steps) {
    begin();
    return slowest_rank(nullptr,
                        [&] {
                          for (std::int64_t i = 0; i < steps; ++i) work_.step();
                        }) /
           static_cast<double>(steps);
  }
  double together(std::int64_t steps, Sums& sums, const ExchangeSettings& settings) {
    begin();
    GradientExchange exchange(*sums.all_reduce, *ring_, settings, [](int turns) {
      if (turns > kSpins) sched_yield();
    });
    const std::vector<float> examples(static_cast<std::size_t>(steps),
                                      static_cast<float>(batch_size_ * session_.world_size()));
    return slowest_rank(sums.link, [&] { work_.common_steps(exchange, examples); }) /
           static_cast<double>(steps);
  }
  // Whether all ranks have the same weights.
  bool same_everywhere() {
    const std::uint64_t digest = checksum_of(std::as_bytes(work_.weights()));
    std::uint64_t first = digest;
    MPI_Bcast(&first, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    int same = first == digest ? 1 : 0;
    MPI_Allreduce(MPI_IN_PLACE, &same, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    return same != 0;
  }

  std::unique_ptr<Link> link() { return make_mpi_link(session_, *ring_); }
  Sums over(std::unique_ptr<Link> link) {
    Link* const raw = link.get();
    return {raw, make_all_reduce(*ring_, std::move(link))};
  }

 private:
  void begin() {
    std::ranges::copy(initial_, work_.weights().begin());
    work_.begin(task_);
  }

  MpiSession& session_;
  std::unique_ptr<Topology> ring_;
  std::int64_t batch_size_;
  LocalWork work_;
  std::vector<float> initial_;
  TrainTask task_;
};

nlohmann::ordered_json measure(MpiSession& session, Options options, const std::string& model,
                               std::int64_t batch_size) {
  options.set("algorithm.name", "sync_sgd");
  options.set("topology.name", "ring");
  options.set("data.clients", std::to_string(session.world_size()));
  options.set("model.name", model);
  options.set("client.batch_size", std::to_string(batch_size));
  options.set("client.lr", "0.01");
  resolve(options, RunsIn::mpi);
  Stepper stepper(session, options,
                  model == "cnn" ? make_model(options, random_examples()->shape())
                                 : std::unique_ptr<Model>(std::make_unique<WideMlp>(options)));
  Sums ring = stepper.over(stepper.link());
  const ExchangeSettings settings = exchange_settings(options);
  // What a user with a slow network would set.
  options.set("algorithm.sync_sgd.factors", "shorter");
  const ExchangeSettings shorter = exchange_settings(options);
  stepper.alone(3);
  stepper.together(3, ring, settings);
  const double guess = stepper.alone(5);
  const auto steps = static_cast<std::int64_t>(std::clamp(kSeconds / guess, 5.0, 200.0));
  // Every rank sends 2 (p - 1) / p of its gradient.
  const double ranks = session.world_size();
  const double bytes = 2 * (ranks - 1) / ranks * static_cast<double>(stepper.parameters() * sizeof(float));
  std::vector<double> first;
  for (int i = 0; i < 3; ++i) first.push_back(stepper.alone(steps));
  const double wire = median(first);
  Sums slow = stepper.over(make_paced_link(stepper.link(), bytes / wire));

  std::vector<double> alone, together, paced, paced_shorter;
  bool same = true;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    alone.push_back(stepper.alone(steps));
    together.push_back(stepper.together(steps, ring, settings));
    same = same && stepper.same_everywhere();
    paced.push_back(stepper.together(steps, slow, settings));
    same = same && stepper.same_everywhere();
    paced_shorter.push_back(stepper.together(steps, slow, shorter));
    same = same && stepper.same_everywhere();
  }
  const double examples = static_cast<double>(batch_size) * ranks;
  const double slower = std::max(wire, median(alone));
  return {{"model", model},
          {"parameters", stepper.parameters()},
          {"batch_size", batch_size},
          {"ranks", session.world_size()},
          {"bucket_kb", options.integer("algorithm.sync_sgd.bucket_kb")},
          {"step_ms", median(together) * 1e3},
          {"samples_per_s", examples / median(together)},
          {"alone_ms", median(alone) * 1e3},
          {"alone_samples_per_s", examples / median(alone)},
          {"alone_ratio", median(alone) / median(together)},
          {"wire_ms", wire * 1e3},
          {"wired_step_ms", median(paced) * 1e3},
          {"wired_ratio", median(paced) / slower},
          {"wired_shorter_step_ms", median(paced_shorter) * 1e3},
          {"wired_shorter_ratio", median(paced_shorter) / slower},
          {"same", same}};
}

void run(MpiSession& session, const CommandLine& line, std::ofstream* json) {
  std::vector<std::string> models{"cnn", "mlp"};
  if (line.options.given("model.name")) models = {line.options.text("model.name")};
  if (models[0] != "cnn" && models[0] != "mlp")
    throw ConfigError("model.name = " + models[0] + ": bench ddp has cnn and mlp");
  std::vector<std::int64_t> batch_sizes{10, 64};
  if (line.options.given("client.batch_size")) {
    batch_sizes = {line.options.integer("client.batch_size")};
    if (batch_sizes[0] < 1 || kExamples % batch_sizes[0] != 0)
      throw ConfigError("client.batch_size = " + std::to_string(batch_sizes[0]) +
                        ": bench ddp takes those that divide " + std::to_string(kExamples));
  }
  const bool prints = session.rank() == 0;
  if (prints)
    std::printf(
        "A step of sync_sgd over ring and MPI, ms on the slowest of %d ranks: medians of %d. `wired`: over "
        "an emulated\nwire on which a gradient takes as long as a step alone; its ratio is to the slower of "
        "the two. `shorter`:\nover that wire with algorithm.sync_sgd.factors = shorter.\n\n"
        "%-6s %5s %10s %10s %8s %10s %8s %10s %8s %6s\n",
        session.world_size(), kRepeats, "model", "batch", "alone", "together", "ratio", "wired", "ratio",
        "shorter", "ratio", "same");
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::string& model : models) {
    for (const std::int64_t batch_size : batch_sizes) {
      const auto row = measure(session, line.options, model, batch_size);
      const auto number = [&](const char* key) { return row.at(key).get<double>(); };
      if (prints) {
        std::printf("%-6s %5lld %10.2f %10.2f %8.2f %10.2f %8.2f %10.2f %8.2f %6s\n", model.c_str(),
                    static_cast<long long>(batch_size), number("alone_ms"), number("step_ms"),
                    number("alone_ratio"), number("wired_step_ms"), number("wired_ratio"),
                    number("wired_shorter_step_ms"), number("wired_shorter_ratio"),
                    row.at("same").get<bool>() ? "yes" : "NO");
        std::fflush(stdout);
      }
      rows.push_back(row);
    }
  }
  if (json != nullptr) *json << rows.dump(2) << '\n';
}

}  // namespace

int bench_ddp(const CommandLine& line) {
  run_bench_job(line, "bench ddp: one rank has nobody to step with; start it with mpirun -n 2",
                [&](MpiSession& session, std::ofstream* json) {
                  at::set_num_threads(1);
                  run(session, line, json);
                });
  return 0;
}

}  // namespace gossamer
