#include "client/trainers/methods.h"

namespace gossamer {

void preset_whole_cohort(Options& options, const std::string& algorithm) {
  const std::int64_t size = options.integer("cohort.size");
  const std::int64_t clients = options.integer("data.clients");
  if (size != 0 && size != clients) {
    throw ConfigError("cohort.size = " + std::to_string(size) + ": " + algorithm +
                      " trains all clients in every round; leave it out, or give data.clients = " +
                      std::to_string(clients));
  }
  options.preset("cohort.fraction", "1", algorithm);
}

void preset_plain_steps(Options& options, const std::string& algorithm) {
  options.preset("client.optimizer", "sgd", algorithm);
  options.preset("client.momentum", "0", algorithm);
}

void preset_plain_sum(Options& options, const std::string& algorithm) {
  options.preset("server.optimizer", "sgd", algorithm);
  options.preset("server.lr", "1", algorithm);
}

void preset_local_steps(Options& options, const std::string& algorithm) {
  options.set_default("client.local_steps", "10");
  if (options.integer("client.local_steps") < 1) {
    throw ConfigError("client.local_steps = 0: " + algorithm +
                      " exchanges every client.local_steps steps; give 1 or more");
  }
}

}  // namespace gossamer
