#include "client/trainers/elastic.h"

#include <algorithm>
#include <stdexcept>

#include "client/trainers/methods.h"
#include "core/text.h"

namespace gossamer {
namespace {

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
  options.preset("server.optimizer", "sgd", method);
  options.preset("server.lr", shortest(beta), method);
  options.preset("server.weighting", "uniform", method);
  options.preset("client.optimizer", "sgd", method);
  options.preset("client.momentum", "0", method);
}

void open_elastic_state(const TrainTask& task, std::span<const float> centre,
                        const std::vector<std::size_t>& more) {
  if (task.state == nullptr) throw std::logic_error("elastic averaging needs the client's state");
  ClientState& state = *task.state;
  if (state.empty()) {
    state.emplace_back(centre.begin(), centre.end());
    for (std::size_t size : more) state.emplace_back(size, 0.0F);
  }
  bool fits = state.size() == 1 + more.size() && state[0].size() == centre.size();
  for (std::size_t i = 0; fits && i < more.size(); ++i) fits = state[1 + i].size() == more[i];
  if (!fits) {
    throw FileError("the state of client " + std::to_string(task.client) +
                    " does not fit the model: it belongs to another model or algorithm");
  }
}

}  // namespace gossamer
