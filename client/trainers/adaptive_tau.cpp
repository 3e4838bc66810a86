// Wang, Tuor, Salonidis, Leung, Makaya, He, Chan: "Adaptive federated learning in resource constrained edge
// computing systems", JSAC 2019. Every client makes as many plain steps as the server says with the model,
// and reports what the server's control loop (server/adaptive_tau.h) chooses the next number by: loss and
// gradient at the model that was sent, and how much they differ from those where the client ended its last
// round, all on the batch that its first step then takes (the paper's stochastic form).
#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "client/trainers/local_work.h"
#include "client/trainers/methods.h"
#include "client/trainers/vectors.h"
#include "core/tau_report.h"

namespace gossamer {
namespace {

double norm_of_difference(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

class AdaptiveTauTrainer final : public LocalTrainer {
 public:
  AdaptiveTauTrainer(const Options& options, std::unique_ptr<Model> model)
      : work_(options, std::move(model)) {
    const std::size_t trained = work_.model().layout()->parameter_count();
    here_.resize(trained);
    there_.resize(trained);
  }

  Update train(std::span<const float> global, const TrainTask& task) override {
    TrainingState& state = *task.state;
    const std::size_t trained = here_.size();
    if (!state.empty() && state[0].size() != global.size()) {
      throw FileError("the state of client " + std::to_string(task.client) +
                      " does not fit the model: it belongs to another model or algorithm");
    }
    auto report = std::make_shared<TauReport>();
    work_.begin(task);
    const std::int64_t steps = work_.steps();
    std::ranges::copy(global, work_.weights().begin());
    if (steps > 0) {
      report->loss = static_cast<double>(work_.look(here_));
      add_to_sketch(here_, 0, report->gradient);
    }
    if (steps > 0 && !state.empty()) {
      std::ranges::copy(state[0], work_.weights().begin());
      const auto loss = static_cast<double>(work_.look(there_));
      const double distance = norm_of_difference(std::span(state[0]).first(trained), global.first(trained));
      if (distance > 0) {
        report->rho = std::abs(loss - report->loss) / distance;
        report->beta = norm_of_difference(there_, here_) / distance;
      }
    }
    std::ranges::copy(global, work_.weights().begin());
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t left = steps; left > 0; --left) work_.step();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    report->step_s = steps > 0 ? elapsed.count() / static_cast<double>(steps) : 0;

    Update update = difference_update(work_, global);
    if (!is_finite(*report, update)) {
      // Said so that the server can tell it from an attack: nothing to add, and a loss beyond all bounds.
      const double step_s = report->step_s;
      *report = {};
      report->loss = std::numeric_limits<double>::max();
      report->step_s = step_s;
      std::ranges::fill(update.values, 0.0F);
      update.info.train_loss = 0;
      state.clear();
    } else {
      state.resize(1);
      state[0].assign(work_.weights().begin(), work_.weights().end());
    }
    update.info.tau = std::move(report);
    return update;
  }

 private:
  static bool is_finite(const TauReport& report, const Update& update) {
    const bool numbers = std::isfinite(report.loss) && std::isfinite(report.rho) &&
                         std::isfinite(report.beta) && std::isfinite(update.info.train_loss);
    return numbers && std::ranges::all_of(report.gradient, [](double x) { return std::isfinite(x); }) &&
           std::ranges::all_of(update.values, [](float x) { return std::isfinite(x); });
  }

  LocalWork work_;
  FloatBuffer here_, there_;  // gradients
};

class AdaptiveTauAlgorithm final : public Algorithm {
 public:
  void preset(Options& options) const override {
    preset_whole_cohort(options, "adaptive_tau");
    options.preset("sync.mode", "bsp", "adaptive_tau");
    options.preset("sync.local_steps", "adaptive", "adaptive_tau");
    preset_plain_steps(options, "adaptive_tau");
    preset_plain_sum(options, "adaptive_tau");
    // What a step is planned to be, before the server says how many there are.
    options.preset("client.local_steps", "1", "adaptive_tau");
  }
  bool keeps_client_state() const override { return true; }
  bool reports_on_tau() const override { return true; }
  std::unique_ptr<LocalTrainer> make_trainer(const Options& options,
                                             std::unique_ptr<Model> model) const override {
    return std::make_unique<AdaptiveTauTrainer>(options, std::move(model));
  }
};

}  // namespace

std::unique_ptr<Algorithm> make_adaptive_tau(const Options&) {
  return std::make_unique<AdaptiveTauAlgorithm>();
}

}  // namespace gossamer
