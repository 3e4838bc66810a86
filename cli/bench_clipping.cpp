#include "cli/bench_clipping.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/configuration.h"
#include "client/models/models.h"
#include "client/optimizers/client_optimizer.h"
#include "client/trainers/clipped_gradients.h"
#include "client/trainers/dp_sgd.h"
#include "client/trainers/gradients.h"
#include "core/error.h"
#include "core/rng.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRepeats = 11;
constexpr double kSeconds = 0.15;  // a measurement, at least
constexpr std::int64_t kBatches = 4, kDefaultBatch = 256, kLargestBatch = 4096;
constexpr double kBound = 1;  // C, which clips nearly all gradients of a fresh model
constexpr double kRate = 0.01;

ExampleShape shape_for(const std::string& model) {
  constexpr std::int64_t kWindow = 80, kCharacters = 80;
  if (model == "char_lstm") return {FeatureKind::tokens, {kWindow}, kWindow, kCharacters};
  return {FeatureKind::pixels, {1, 28, 28}, 1, 10};
}

// Random indices below `end`.
at::Tensor indices(std::vector<std::int64_t> extents, std::int64_t end, Rng& rng) {
  at::Tensor values = at::empty(extents, at::kLong);
  std::generate_n(values.data_ptr<std::int64_t>(), values.numel(),
                  [&] { return static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(end))); });
  return values;
}

at::Tensor random_features(const ExampleShape& shape, std::int64_t examples, Rng& rng) {
  std::vector<std::int64_t> extents{examples};
  extents.insert(extents.end(), shape.features.begin(), shape.features.end());
  if (shape.kind == FeatureKind::tokens) return indices(extents, shape.classes, rng);
  at::Tensor features = at::empty(extents);
  std::generate_n(features.data_ptr<float>(), features.numel(), [&] { return rng.uniform_float(); });
  return features;
}

// Steps of a model on examples that lie ready, each method from where the last one left the weights.
class Steps {
 public:
  Steps(Options options, const std::string& name, std::int64_t batch_size) {
    options.set("model.name", name);
    options.set("client.lr", std::to_string(kRate));
    resolve(options);
    const ExampleShape shape = shape_for(name);
    model_ = make_model(options, shape);
    plain_ = make_gradients(*model_);
    clipped_ = make_clipped_gradients(*model_);
    loop_ = make_one_by_one_gradients(*model_);
    optimizer_ = client_optimizers().make(options, model_->layout()->parameter_count());
    optimizer_->reset();
    const auto lot = static_cast<double>(batch_size);
    clipped_step_ = std::make_unique<DpSgdStep>(*clipped_, std::vector{kBound}, 0, lot);
    loop_step_ = std::make_unique<DpSgdStep>(*loop_, std::vector{kBound}, 0, lot);
    Rng rng(1, Purpose::test);
    for (std::int64_t i = 0; i < kBatches; ++i) {
      batches_.push_back({random_features(shape, batch_size, rng),
                          indices({batch_size * shape.labels}, shape.classes, rng)});
    }
  }

  std::size_t parameters() const { return model_->layout()->parameter_count(); }

  void plain() {
    const auto& [features, labels] = next();
    optimizer_->begin_step();
    const auto descent = optimizer_->plain_descent();
    if (descent && plain_->descend(features, labels, *descent)) return;
    plain_->compute(features, labels, 1, false);
    for (std::size_t i = 0; i < model_->parameters().size(); ++i) {
      const TensorSpec& tensor = model_->layout()->tensors()[i];
      optimizer_->step(model_->values().subspan(tensor.offset, tensor.size), plain_->of(i), tensor.offset);
    }
  }
  void clipped() { private_step(*clipped_step_); }
  void loop() { private_step(*loop_step_); }

 private:
  struct Batch {
    at::Tensor features, labels;
  };
  const Batch& next() { return batches_[static_cast<std::size_t>(turn_++ % kBatches)]; }

  void private_step(DpSgdStep& step) {
    const auto& [features, labels] = next();
    step.add(features, labels);
    NoisyGradient& gradient = step.finish(*no_noise_);
    optimizer_->begin_step();
    optimizer_->step(model_->values().first(gradient.values().size()), gradient.values(), 0);
  }

  std::unique_ptr<Model> model_;
  std::unique_ptr<Gradients> plain_;
  std::unique_ptr<ClippedGradients> clipped_, loop_;
  std::unique_ptr<ClientOptimizer> optimizer_;
  std::unique_ptr<DpSgdStep> clipped_step_, loop_step_;
  std::unique_ptr<NoiseSource> no_noise_ = make_insecure_noise_source(1);
  std::vector<Batch> batches_;
  std::int64_t turn_ = 0;
};

// Milliseconds a step.
double time_of(const std::function<void()>& step) {
  const Clock::time_point start = Clock::now();
  double elapsed = 0;
  int steps = 0;
  for (; elapsed < kSeconds; ++steps) {
    step();
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  return 1e3 * elapsed / steps;
}

nlohmann::ordered_json measure(const Options& options, const std::string& model, std::int64_t batch_size) {
  Steps steps(options, model, batch_size);
  const std::array<std::function<void()>, 3> methods{[&] { steps.plain(); }, [&] { steps.clipped(); },
                                                     [&] { steps.loop(); }};
  for (const auto& method : methods) method();  // takes memory
  std::array<std::vector<double>, 3> times;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    for (std::size_t i = 0; i < methods.size(); ++i) times[i].push_back(time_of(methods[i]));
  }
  for (std::vector<double>& of_method : times) std::ranges::sort(of_method);
  const auto median = [&](std::size_t method) { return times[method][kRepeats / 2]; };
  return {{"model", model},
          {"batch_size", batch_size},
          {"parameters", steps.parameters()},
          {"clipped_ms", median(1)},
          {"plain_ms", median(0)},
          {"loop_ms", median(2)},
          {"plain_ratio", median(1) / median(0)},
          {"loop_ratio", median(2) / median(1)}};
}

std::vector<std::string> models_of(const Options& options) {
  if (!options.given("model.name")) return {"mlp", "cnn"};
  const std::string& model = options.text("model.name");
  const std::vector<std::string> known{"logistic", "mlp", "cnn", "lenet", "easgd_cnn", "char_lstm"};
  if (std::ranges::find(known, model) == known.end()) {
    throw ConfigError("model.name = " + model +
                      ": bench train --privacy has logistic, mlp, cnn, lenet, easgd_cnn and char_lstm");
  }
  return {model};
}

std::int64_t batch_size_of(const Options& options) {
  if (!options.given("client.batch_size")) return kDefaultBatch;
  const std::int64_t batch_size = options.integer("client.batch_size");
  if (batch_size < 1 || batch_size > kLargestBatch) {
    throw ConfigError("client.batch_size = " + std::to_string(batch_size) +
                      ": bench train --privacy takes 1 to " + std::to_string(kLargestBatch));
  }
  return batch_size;
}

}  // namespace

int bench_clipping(const CommandLine& line) {
  const std::vector<std::string> models = models_of(line.options);
  const std::int64_t batch_size = batch_size_of(line.options);
  std::ofstream json;
  if (const auto given = line.extra.find("json"); given != line.extra.end()) {
    json.open(given->second);
    if (!json) throw ConfigError("--json " + given->second + ": cannot be written");
  }
  std::printf(
      "A step of DP-SGD without its noise, ms: median of %d; beside a step of plain SGD and a loop over the\n"
      "examples, one thread.\n\n%-9s %5s %10s %10s %10s %15s %15s\n",
      kRepeats, "model", "batch", "clipped", "plain", "loop", "clipped/plain", "loop/clipped");
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::string& model : models) {
    const auto row = measure(line.options, model, batch_size);
    const auto number = [&](const char* key) { return row.at(key).get<double>(); };
    std::printf("%-9s %5lld %10.2f %10.2f %10.2f %15.2f %15.2f\n", model.c_str(),
                static_cast<long long>(batch_size), number("clipped_ms"), number("plain_ms"),
                number("loop_ms"), number("plain_ratio"), number("loop_ratio"));
    std::fflush(stdout);
    rows.push_back(row);
  }
  if (json.is_open()) json << rows.dump(2) << '\n';
  return 0;
}

}  // namespace gossamer
