#include "client/trainers/elastic.h"

#include <algorithm>
#include <stdexcept>

#include "client/trainers/methods.h"
#include "client/trainers/vectors.h"
#include "core/text.h"

namespace gossamer {
namespace {

constexpr std::size_t kSaid = 2;  // samples and loss of the last training

std::string key_of(const std::string& method, const char* key) { return "algorithm." + method + '.' + key; }

}  // namespace

std::vector<OptionSpec> elastic_options(const std::string& method) {
  return {real_option(key_of(method, "beta"), 0.9, "moving rate of the centre, alpha times data.clients")
              .above(0)
              .at_most(1),
          real_option(key_of(method, "alpha"), 0, "moving rate of one client; 0 = beta / data.clients")
              .at_least(0)};
}

double elastic_alpha(const Options& options, const std::string& method) {
  const double alpha = options.real(key_of(method, "alpha"));
  if (alpha > 0) return alpha;
  return options.real(key_of(method, "beta")) / static_cast<double>(options.integer("data.clients"));
}

void preset_elastic(Options& options, const std::string& method) {
  preset_whole_cohort(options, method);
  preset_local_steps(options, method);
  const double alpha = options.real(key_of(method, "alpha"));
  const double clients = static_cast<double>(options.integer("data.clients"));
  const double beta = alpha > 0 ? alpha * clients : options.real(key_of(method, "beta"));
  if (beta > 1) {
    throw ConfigError(key_of(method, "alpha") + " = " + shortest(alpha) +
                      ": times data.clients this is above 1, " +
                      "where the centre overshoots; give at most " + shortest(1 / clients));
  }
  const bool async = options.text("sync.mode") == "async";
  if (async) {
    options.preset("sync.pull", "on_request", method);
    options.preset("sync.staleness_weight", "constant", method);
    options.preset("sync.correction", "none", method);
  }
  options.preset("server.optimizer", "sgd", method);
  options.preset("server.lr", async ? "1" : shortest(beta), method);
  options.preset("server.weighting", "uniform", method);
  preset_plain_steps(options, method);
}

ElasticTrainer::ElasticTrainer(const Options& options, std::unique_ptr<Model> model,
                               const std::string& method, std::vector<std::size_t> more)
    : work_(options, std::move(model)),
      alpha_(static_cast<float>(elastic_alpha(options, method))),
      on_request_(options.text("sync.pull") == "on_request"),
      more_(std::move(more)) {
  if (on_request_) more_.insert(more_.end(), {work_.weights().size(), kSaid});
}

Update ElasticTrainer::train(std::span<const float> centre, const TrainTask& task) {
  open_state(task, centre);
  TrainingState& state = *task.state;
  Update update{{{}, FloatBuffer(centre.size())}};
  subtract(state[0], centre, update.values);
  if (!on_request_) {
    work(task, update.values, alpha_);
    update.info = work_.info();
    return update;
  }
  FloatBuffer& pull = pull_of(state);
  std::ranges::fill(pull, 0.0F);
  add_scaled(pull, alpha_, update.values);
  std::ranges::copy(pull, update.values.begin());
  update.info.weight = static_cast<double>(task.examples->size());
  update.info.samples = static_cast<std::int64_t>(state.back()[0]);
  update.info.train_loss = state.back()[1];
  return update;
}

void ElasticTrainer::go_on(const TrainTask& task) {
  TrainingState& state = *task.state;
  work(task, pull_of(state), 1);
  const UpdateInfo info = work_.info();
  state.back() = {static_cast<float>(info.samples), static_cast<float>(info.train_loss)};
}

void ElasticTrainer::work(const TrainTask& task, std::span<const float> offset, float factor) {
  TrainingState& state = *task.state;
  std::ranges::copy(state[0], work_.weights().begin());
  work_.begin(task);
  const std::int64_t steps = work_.steps();
  if (steps > 0) step(state);
  add_scaled(work_.weights(), -factor, offset);
  for (std::int64_t done = 1; done < steps; ++done) step(state);
  std::ranges::copy(work_.weights(), state[0].begin());
}

void ElasticTrainer::open_state(const TrainTask& task, std::span<const float> centre) const {
  if (task.state == nullptr) throw std::logic_error("elastic averaging needs the client's state");
  TrainingState& state = *task.state;
  if (state.empty()) {
    state.emplace_back(centre.begin(), centre.end());
    for (const std::size_t size : more_) state.emplace_back(size, 0.0F);
  }
  bool fits = state.size() == 1 + more_.size() && state[0].size() == centre.size();
  for (std::size_t i = 0; fits && i < more_.size(); ++i) fits = state[1 + i].size() == more_[i];
  if (!fits) {
    throw FileError("the state of client " + std::to_string(task.client) +
                    " does not fit the model: it belongs to another model or algorithm");
  }
}

}  // namespace gossamer
