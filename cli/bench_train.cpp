#include "cli/bench_train.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/bench_clipping.h"
#include "cli/configuration.h"
#include "client/datasets/example_sets.h"
#include "client/models/models.h"
#include "client/trainers/trainer.h"
#include "core/error.h"
#include "core/rng.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRepeats = 5;
constexpr double kSeconds = 0.7;        // a measurement
constexpr double kWarmUpSeconds = 0.4;  // before the first one
constexpr std::int64_t kClients = 10;
constexpr std::int64_t kExamplesPerClient = 600;  // MNIST among 100 clients

struct Rate {
  double wall = 0;       // samples/s
  double processor = 0;  // samples per second of processor time
};

struct Case {
  std::string model;
  std::int64_t batch_size;
  int threads;
};

// A trainer and the clients that take turns on it, as in a run: pixels are bytes until they are gathered, and
// every client starts from the global model and returns an update.
class Worker {
 public:
  Worker(Options options, const Case& row) {
    options.set("model.name", row.model);
    options.set("client.batch_size", std::to_string(row.batch_size));
    options.set("client.lr", "0.01");
    resolve(options);
    const ExampleShape shape{FeatureKind::pixels, {1, 28, 28}, 1, 10};
    for (std::int64_t client = 0; client < kClients; ++client) {
      Rng rng(1, Purpose::test, static_cast<std::uint64_t>(client));
      PixelBytes pixels;
      std::vector<std::int32_t> labels;
      for (std::int64_t i = 0; i < kExamplesPerClient; ++i) {
        labels.push_back(static_cast<std::int32_t>(rng.below(10)));
        for (std::int64_t j = 0; j < shape.feature_count(); ++j) {
          pixels.bytes.push_back(static_cast<std::uint8_t>(rng() >> 24U));
        }
      }
      clients_.push_back(std::make_shared<PixelExamples>(shape, std::move(pixels), std::move(labels)));
    }
    auto model = make_model(options, shape);
    global_.assign(model->values().begin(), model->values().end());
    trainer_ = algorithms().make(options)->make_trainer(options, std::move(model));
  }

  // Trains for about `seconds`; returns samples/s.
  double run(double seconds) {
    const Clock::time_point start = Clock::now();
    std::int64_t samples = 0;
    double elapsed = 0;
    while (elapsed < seconds) {
      ++task_.round;
      task_.client = task_.round % kClients;
      task_.examples = clients_[static_cast<std::size_t>(task_.client)];
      samples += trainer_->train(global_, task_).info.samples;
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    }
    return static_cast<double>(samples) / elapsed;
  }

 private:
  std::vector<std::shared_ptr<const ExampleSet>> clients_;
  std::vector<float> global_;
  std::unique_ptr<LocalTrainer> trainer_;
  TrainTask task_;
};

Rate run_workers(std::vector<std::unique_ptr<Worker>>& workers, double seconds) {
  std::vector<double> rates(workers.size());
  const std::clock_t processor_start = std::clock();
  const Clock::time_point start = Clock::now();
  {
    std::barrier together(static_cast<std::ptrdiff_t>(workers.size()));
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < workers.size(); ++i) {
      threads.emplace_back([&, i] {
        together.arrive_and_wait();
        rates[i] = workers[i]->run(seconds);
      });
    }
    together.arrive_and_wait();
    rates[0] = workers[0]->run(seconds);
  }
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  const double processor = static_cast<double>(std::clock() - processor_start) / CLOCKS_PER_SEC;
  double sum = 0;
  for (double rate : rates) sum += rate;
  return {sum, sum * wall / processor};
}

// Another process that answers a line `go SECONDS` with a line of two rates, and ends at a line `stop 0`.
class Subject {
 public:
  Subject(std::string name, const std::function<void()>& body) : name_(std::move(name)) {
    std::array<int, 2> orders{}, answers{};
    if (pipe(orders.data()) != 0 || pipe(answers.data()) != 0) throw RunError("bench: no pipe left");
    std::fflush(nullptr);
    process_ = fork();
    if (process_ < 0) throw RunError("bench: no process left");
    if (process_ == 0) {
      dup2(orders[0], STDIN_FILENO);
      dup2(answers[1], STDOUT_FILENO);
      for (int end : {orders[0], orders[1], answers[0], answers[1]}) close(end);
      body();
      _exit(1);
    }
    close(orders[0]);
    close(answers[1]);
    orders_.reset(fdopen(orders[1], "w"));
    answers_.reset(fdopen(answers[0], "r"));
  }
  Subject(Subject&&) = delete;
  ~Subject() {
    std::fprintf(orders_.get(), "stop 0\n");  // later subjects hold our end open, so its closing says nothing
    orders_.reset();
    waitpid(process_, nullptr, 0);
  }

  void go(double seconds) {
    std::fprintf(orders_.get(), "go %g\n", seconds);
    std::fflush(orders_.get());
  }
  Rate answer() {
    Rate rate;
    if (std::fscanf(answers_.get(), "%lf %lf", &rate.wall, &rate.processor) != 2) {
      throw RunError("bench: " + name_ + " ended early");
    }
    return rate;
  }

 private:
  struct Closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Closer>;
  std::string name_;
  pid_t process_ = -1;
  File orders_, answers_;
};

// Our client, with as many trainer threads as the case says, in a fork of this process: the environment and
// the allocator are those of every run.
std::unique_ptr<Subject> our_client(const Options& options, const Case& row, int threads) {
  return std::make_unique<Subject>("our client", [&options, &row, threads] {
    std::vector<std::unique_ptr<Worker>> workers;
    for (int i = 0; i < threads; ++i) workers.push_back(std::make_unique<Worker>(options, row));
    double seconds = 0;
    while (std::scanf(" go %lf", &seconds) == 1) {
      const Rate rate = run_workers(workers, seconds);
      std::printf("%.9g %.9g\n", rate.wall, rate.processor);
      std::fflush(stdout);
    }
    _exit(0);
  });
}

// The plain libtorch program, which lies beside ours. What our launcher set is taken back, but for the number
// of threads: one, as for us.
std::unique_ptr<Subject> reference(const Case& row) {
  const std::string path =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "gossamer-bench-reference";
  if (access(path.c_str(), X_OK) != 0) throw RunError("bench: " + path + " is not there; build it first");
  return std::make_unique<Subject>("the reference", [&] {
    unsetenv("OPENBLAS_CORETYPE");
    const std::string batch = std::to_string(row.batch_size);
    execl(path.c_str(), path.c_str(), row.model.c_str(), batch.c_str(), static_cast<char*>(nullptr));
  });
}

Rate sum_of(std::vector<std::unique_ptr<Subject>>& side, double seconds) {
  for (auto& subject : side) subject->go(seconds);
  Rate sum;
  for (auto& subject : side) {
    const Rate rate = subject->answer();
    sum.wall += rate.wall;
    sum.processor += rate.processor / static_cast<double>(side.size());
  }
  return sum;
}

struct Summary {
  double median, best, processor;
};

Summary summary_of(std::vector<Rate> rates) {
  const auto middle = [&](double Rate::*field) {
    std::ranges::sort(rates, {}, field);
    return rates[rates.size() / 2].*field;
  };
  const double processor = middle(&Rate::processor);
  return {middle(&Rate::wall), rates.back().wall, processor};
}

nlohmann::ordered_json measure(const Options& options, const Case& row) {
  std::vector<std::unique_ptr<Subject>> ours, theirs;
  ours.push_back(our_client(options, row, row.threads));
  if (row.threads == 1) {
    theirs.push_back(reference(row));
  } else {
    for (int i = 0; i < row.threads; ++i) theirs.push_back(our_client(options, row, 1));
  }
  sum_of(ours, kWarmUpSeconds);
  sum_of(theirs, kWarmUpSeconds);
  std::vector<Rate> our_rates, their_rates;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    our_rates.push_back(sum_of(ours, kSeconds));
    their_rates.push_back(sum_of(theirs, kSeconds));
  }
  const Summary a = summary_of(our_rates), b = summary_of(their_rates);
  return {{"model", row.model},
          {"batch_size", row.batch_size},
          {"threads", row.threads},
          {"samples_per_s", a.median},
          {"reference_samples_per_s", b.median},
          {"ratio", a.median / b.median},
          {"best_samples_per_s", a.best},
          {"best_reference_samples_per_s", b.best},
          {"best_ratio", a.best / b.best},
          {"processor_ratio", a.processor / b.processor}};
}

std::vector<Case> cases_of(const Options& options) {
  std::vector<std::string> models{"logistic", "mlp", "cnn"};
  if (options.given("model.name")) {
    const std::string& model = options.text("model.name");
    if (std::ranges::find(models, model) == models.end()) {
      throw ConfigError("model.name = " + model + ": bench train has logistic, mlp and cnn");
    }
    models = {model};
  }
  std::vector<std::int64_t> batch_sizes{10, 64};
  if (options.given("client.batch_size")) {
    const std::int64_t batch_size = options.integer("client.batch_size");
    if (batch_size < 1 || batch_size > kExamplesPerClient) {
      throw ConfigError("client.batch_size = " + std::to_string(batch_size) + ": bench train takes 1 to " +
                        std::to_string(kExamplesPerClient));
    }
    batch_sizes = {batch_size};
  }
  std::vector<Case> cases;
  for (int threads : {1, 2}) {
    for (const std::string& model : models) {
      for (std::int64_t batch_size : batch_sizes) cases.push_back({model, batch_size, threads});
    }
  }
  return cases;
}

}  // namespace

int bench_train(const CommandLine& line) {
  if (line.extra.contains("privacy")) return bench_clipping(line);
  std::signal(SIGPIPE, SIG_IGN);  // a process that ended early is seen when its answer is missing
  std::ofstream json;
  if (const auto given = line.extra.find("json"); given != line.extra.end()) {
    json.open(given->second);
    if (!json) throw ConfigError("--json " + given->second + ": cannot be written");
  }
  std::printf(
      "Local training, samples/s: median of %d (best); the reference is a plain libtorch loop,\n"
      "and for 2 threads two processes of our own. Processor: ratio by processor time.\n\n"
      "%-9s %5s %7s %21s %21s %13s %9s\n",
      kRepeats, "model", "batch", "threads", "ours", "reference", "ratio", "processor");
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const Case& row : cases_of(line.options)) {
    const auto result = measure(line.options, row);
    const auto number = [&](const char* key) { return result.at(key).get<double>(); };
    std::printf("%-9s %5lld %7d %10.0f (%8.0f) %10.0f (%8.0f) %5.2f (%5.2f) %9.2f\n", row.model.c_str(),
                static_cast<long long>(row.batch_size), row.threads, number("samples_per_s"),
                number("best_samples_per_s"), number("reference_samples_per_s"),
                number("best_reference_samples_per_s"), number("ratio"), number("best_ratio"),
                number("processor_ratio"));
    std::fflush(stdout);
    rows.push_back(result);
  }
  if (json.is_open()) json << rows.dump(2) << '\n';
  return 0;
}

}  // namespace gossamer
